import type { Answer, Tenant } from './service.ts'

/** Ids that the org has to know, in the document's sample of an interaction. */
export interface SampleIds {
  internalAttendeeId: string
  relatedPersonId: string
}

/** The interaction that Salesforce's documentation shows, with real ids where an org wants them. */
export const sampleInteraction = ({ internalAttendeeId, relatedPersonId }: SampleIds) => ({
  initiatingAttendeeId: 'testattendeeid',
  attendeeAuthenticated: true,
  attendeeVerified: true,
  startDateTime: '2022-04-17T12:00:00.000Z',
  endDateTime: '2022-04-17T12:04:00.000Z',
  communicationChannel: 'Voice Call',
  sentiment: 'Positive',
  contextId: 'testcontextid',
  externalIdentifierId: 'external_identifier_id',
  type: 'Inbound',
  mappedState: 'New',
  status: 'New',
  attendeeVerificationTime: '2022-04-17T12:02:00.000Z',
  reason: 'Unknown Charges',
  phoneNumber: '9999999999',
  customFieldsList: [
    { key: 'sampleLocation__c', value: { latitude: 12, longitude: 17 } },
    { key: 'sampleCheckbox__c', value: 'true' },
    { key: 'sampleDate__c', value: '06/17/2022' },
    { key: 'sampleDateTime__c', value: '2022-04-17T12:00:00.000Z' },
    { key: 'sampleEmail__c', value: 'sample@email.com' },
    { key: 'samplePercentage__c', value: 17 },
    { key: 'samplePicklist__c', value: 'pick1' },
  ],
  engagementAttendees: [
    {
      startDateTime: '2022-04-17T12:00:00.000Z',
      endDateTime: '2022-04-17T12:04:00.000Z',
      externalAttendeeId: 'testattendeeid',
      internalAttendeeId,
      role: 'Self',
      verificationTime: '2022-04-17T12:02:00.000Z',
      isAuthenticated: true,
      isVerified: true,
      customFieldsList: [
        { key: 'sampleCheckBox__c', value: true },
        { key: 'sampleDateTime__c', value: '2022-04-17T12:00:00.000Z' },
        { key: 'sampleEmail__c', value: 'sample@email.com' },
        { key: 'sampleLocation__c', value: { latitude: 12, longitude: 17 } },
      ],
    },
  ],
  engagementTopics: [
    {
      topicId: 'testtopicid',
      relatedPersonId,
      name: 'fee reversal',
      parentTopicId: 'testparenttopicid',
      processName: 'Card Fee Reversal',
      processType: 'Flow',
      processStatus: 'Completed',
      interactionSummary: 'Summary',
      processFailureReason: 'unknown',
      customFieldsList: [
        { key: 'sampleCheckbox__c', value: true },
        { key: 'sampleDate__c', value: '06/17/2022' },
        { key: 'sampleDateTime__c', value: '2022-04-17T12:00:00.000Z' },
        { key: 'sampleEmail__c', value: 'sample@email.com' },
        { key: 'sampleLocation__c', value: { latitude: 12, longitude: 17 } },
        { key: 'sampleNumber__c', value: 1706 },
        { key: 'samplePercentage__c', value: 17 },
        { key: 'samplePhoneNumber__c', value: '1234567890' },
      ],
    },
  ],
})

/** The fewest fields of an interaction, and more. */
export const interaction = (part: Record<string, unknown> = {}): Record<string, unknown> => ({
  attendeeVerified: true,
  communicationChannel: 'Voice Call',
  startDateTime: '2022-04-17T12:00:00.000Z',
  ...part,
})

/** Where interactions are posted, below an integration. */
export const RESOURCE = 'connect/service-excellence/engagement-interactions'

/** Makes the call with a body as it is, synchronous unless it says otherwise. */
export const postInteraction = <T = Record<string, unknown>>(
  { call, projectId, integrationId, groupRef }: Tenant,
  body: Record<string, unknown>,
  headers?: Record<string, string>,
): Promise<Answer<T>> =>
  call<T>(
    'POST',
    `/v1/projects/${projectId}/integrations/${integrationId}/${RESOURCE}`,
    { groupRef, ...body },
    headers,
  )

/** Queues an interaction; its operation's id. */
export async function queueInteraction(
  tenant: Tenant,
  part: Record<string, unknown>,
  more: Record<string, unknown> = {},
): Promise<string> {
  const body = { engagementInteraction: interaction(part), mode: 'asynchronous', ...more }
  const answer = await postInteraction<{ operationId?: string }>(tenant, body)
  if (answer.status !== 200) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`)
  return answer.body.operationId!
}
