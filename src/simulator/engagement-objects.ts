import type { FieldInput, ObjectInput } from './schema.ts'

/** Names of the objects that an engagement interaction is stored as (facts 11). */
export const INTERACTION = 'EngagementInteraction'
export const ATTENDEE = 'EngagementAttendee'
export const TOPIC = 'EngagementTopic'

const named =
  (type: FieldInput['type'], more: Partial<FieldInput> = {}) =>
  (...names: string[]): FieldInput[] =>
    names.map((name) => ({ name, type, ...more }))

const texts = named('string')
const times = named('datetime')
const flags = named('boolean')

const picklist = (name: string, values: string[], restrictedPicklist: boolean): FieldInput => ({
  name,
  type: 'picklist',
  picklistValues: values,
  restrictedPicklist,
})

const lookup = (name: string, ...referenceTo: string[]): FieldInput => ({
  name,
  type: 'reference',
  referenceTo,
})

/**
 * The custom fields that Salesforce's own sample of an interaction names. A geolocation is kept as its two
 * components, as the platform keeps it.
 */
const sampleFields = (): FieldInput[] => [
  ...named('double', { precision: 18, scale: 8, custom: true })(
    'sampleLocation__Latitude__s',
    'sampleLocation__Longitude__s',
  ),
  ...flags('sampleCheckbox__c'),
  ...named('date')('sampleDate__c'),
  ...times('sampleDateTime__c'),
  ...named('email')('sampleEmail__c'),
  { name: 'samplePercentage__c', type: 'percent', precision: 5, scale: 2 },
  picklist('samplePicklist__c', ['pick1', 'pick2'], true),
  { name: 'sampleNumber__c', type: 'double', precision: 18 },
  ...named('phone')('samplePhoneNumber__c'),
]

const interaction = (): ObjectInput => ({
  name: INTERACTION,
  keyPrefix: '0hI',
  fields: [
    ...texts('InitiatingAttendeeId', 'ContextId', 'ExternalIdentifierId', 'Type', 'Status', 'Reason'),
    ...flags('AttendeeAuthenticated', 'AttendeeVerified'),
    ...times('StartDateTime', 'EndDateTime', 'AttendeeVerificationTime'),
    picklist('CommunicationChannel', ['In-Person', 'Video Call', 'Voice Call', 'Web Chat'], false),
    picklist('Sentiment', ['Negative', 'Neutral', 'Positive'], true),
    picklist('MappedState', ['New', 'In Progress', 'Completed'], true),
    ...named('phone')('PhoneNumber'),
    { ...lookup('OwnerId', 'User'), nillable: false, defaultedOnCreate: true },
    ...sampleFields(),
  ],
})

const attendee = (): ObjectInput => ({
  name: ATTENDEE,
  keyPrefix: '0hA',
  fields: [
    lookup('EngagementInteractionId', INTERACTION),
    lookup('InternalAttendeeId', 'User', 'Contact'),
    ...texts('ExternalAttendeeId', 'Role'),
    ...times('StartDateTime', 'EndDateTime', 'VerificationTime'),
    ...flags('IsAuthenticated', 'IsVerified'),
    ...sampleFields(),
  ],
})

const topic = (): ObjectInput => ({
  name: TOPIC,
  keyPrefix: '0hT',
  fields: [
    lookup('EngagementInteractionId', INTERACTION),
    lookup('RelatedPersonId', 'Contact', 'Lead', 'Account'),
    ...texts('Name', 'TopicId', 'ParentTopicId', 'ProcessName', 'ProcessType', 'InteractionSummary'),
    ...texts('ProcessFailureReason'),
    picklist('ProcessStatus', ['Canceled', 'Completed', 'Failed', 'Initiated'], true),
    ...sampleFields(),
  ],
})

/** The objects of engagement interactions. */
export const engagementObjects = (): ObjectInput[] => [interaction(), attendee(), topic()]
