import Type, { type Static, type TSchema } from 'typebox'
import { WriteRequest } from './write.ts'

/*
 * Engagement interactions (contract section 8; facts 11): the container as Salesforce's Connect resource takes
 * it, with what the call says of the write beside it. Ids that only an answer has (`id`,
 * `engagementInteractionId`) are no fields of it.
 */

const exact = { additionalProperties: false }

/** Fields of one level, each with what its values are. */
const optional = <T extends Record<string, TSchema>>(fields: T) =>
  Object.fromEntries(Object.entries(fields).map(([name, schema]) => [name, Type.Optional(schema)])) as {
    [Name in keyof T]: ReturnType<typeof Type.Optional<T[Name]>>
  }

const text = (description: string, examples: string[] = []) =>
  Type.String({ description, ...(examples.length > 0 && { examples }) })
const moment = (description: string) =>
  Type.String({ format: 'date-time', description, examples: ['2022-04-17T12:00:00.000Z'] })
const flag = (description: string) => Type.Boolean({ description })
const oneOf = <T extends string>(values: T[], description: string) =>
  Type.Unsafe<T>({ type: 'string', enum: values, description })

/** A value of a custom field; a geolocation is an object. */
const CustomValue = Type.Unsafe<string | number | boolean | { latitude: number; longitude: number }>({
  type: ['string', 'number', 'boolean', 'object'],
  properties: {
    latitude: { type: 'number', minimum: -90, maximum: 90 },
    longitude: { type: 'number', minimum: -180, maximum: 180 },
  },
  required: ['latitude', 'longitude'],
  additionalProperties: false,
  description:
    'As the field takes it: text, a number, true or false, or `{latitude, longitude}`. A date is `MM/DD/YYYY`, a date and time ISO 8601.',
  examples: ['pick1'],
})

const CustomField = Type.Object(
  {
    key: Type.String({
      minLength: 1,
      maxLength: 255,
      format: 'object-name',
      description: 'The API name of the custom field.',
      examples: ['samplePicklist__c'],
    }),
    value: CustomValue,
  },
  { ...exact, title: 'EngagementCustomField' },
)

const customFieldsList = Type.Optional(
  Type.Array(CustomField, { description: 'Custom fields, each named once.' }),
)

const EngagementAttendee = Type.Object(
  {
    startDateTime: moment('When the attendee came in.'),
    isAuthenticated: flag('Whether the attendee is authenticated.'),
    isVerified: flag('Whether the attendee is verified.'),
    ...optional({
      endDateTime: moment('When the attendee left.'),
      externalAttendeeId: text('The attendee’s id outside of the org.'),
      internalAttendeeId: text('The attendee’s id in the org.'),
      role: text('The attendee’s part in the interaction.', ['Self']),
      verificationTime: moment('When the attendee was verified.'),
    }),
    customFieldsList,
  },
  { ...exact, title: 'EngagementAttendee' },
)

const EngagementTopic = Type.Object(
  {
    name: Type.String({ minLength: 1, description: 'What it was about.', examples: ['fee reversal'] }),
    ...optional({
      topicId: text('The topic’s id.'),
      relatedPersonId: text('The id of whom it is about.'),
      parentTopicId: text('The id of the topic that it belongs to.'),
      processName: text('The process that was started.', ['Card Fee Reversal']),
      processType: text('The kind of that process.', ['Flow']),
      processStatus: oneOf(['Canceled', 'Completed', 'Failed', 'Initiated'], 'What became of the process.'),
      interactionSummary: text('A summary.'),
      processFailureReason: text('Why the process failed.'),
    }),
    customFieldsList,
  },
  { ...exact, title: 'EngagementTopic' },
)

/** One interaction with its attendees and topics. */
export const EngagementInteraction = Type.Object(
  {
    attendeeVerified: flag('Whether the attendee who began it is verified.'),
    communicationChannel: Type.String({
      minLength: 1,
      description: 'In-Person, Video Call, Voice Call, Web Chat, or a channel of the org’s own.',
      examples: ['Voice Call'],
    }),
    startDateTime: moment('When it began.'),
    ...optional({
      endDateTime: moment('When it ended; not before it began.'),
      initiatingAttendeeId: text('The id of the attendee who began it.'),
      attendeeAuthenticated: flag('Whether that attendee is authenticated.'),
      attendeeVerificationTime: moment('When that attendee was verified.'),
      sentiment: oneOf(['Negative', 'Neutral', 'Positive'], 'How it went.'),
      contextId: text('The id of what it was about.'),
      externalIdentifierId: Type.String({
        minLength: 1,
        maxLength: 255,
        format: 'line',
        description:
          'What identifies the interaction outside of the org. With it, one whose answer was lost is looked up; without it, that one is in doubt.',
        examples: ['call-2022-04-17-0815'],
      }),
      type: text('Its kind.', ['Inbound']),
      mappedState: oneOf(['New', 'In Progress', 'Completed'], 'The state that its status stands for.'),
      status: text('Its status.', ['New']),
      reason: text('Why it took place.', ['Unknown Charges']),
      phoneNumber: text('The number that was called or called from.', ['9999999999']),
      ownerId: text('The id of the user who owns it; the connected one when absent.'),
      engagementAttendees: Type.Array(EngagementAttendee),
      engagementTopics: Type.Array(EngagementTopic),
    }),
    customFieldsList,
  },
  { ...exact, title: 'EngagementInteraction' },
)
export type EngagementInteraction = Static<typeof EngagementInteraction>

const { groupRef, mode, autoBatchPolicy, retryPolicy, reference, variables } = WriteRequest.properties

const example = {
  attendeeVerified: true,
  communicationChannel: 'Voice Call',
  startDateTime: '2022-04-17T12:00:00.000Z',
  endDateTime: '2022-04-17T12:04:00.000Z',
  externalIdentifierId: 'call-2022-04-17-0815',
  engagementAttendees: [
    { startDateTime: '2022-04-17T12:00:00.000Z', isAuthenticated: true, isVerified: true, role: 'Self' },
  ],
  engagementTopics: [{ name: 'fee reversal', processStatus: 'Completed' }],
}

/** The body of the call. */
export const EngagementRequest = Type.Object(
  {
    groupRef,
    engagementInteraction: EngagementInteraction,
    mode,
    autoBatchPolicy,
    retryPolicy,
    reference,
    variables,
  },
  {
    ...exact,
    title: 'EngagementRequest',
    examples: [{ groupRef: 'customer-42', engagementInteraction: example }],
  },
)
export type EngagementRequest = Static<typeof EngagementRequest>
