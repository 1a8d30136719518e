import { ApiError } from './api-error.ts'
import { isJsonObject } from './call.ts'
import type { JsonObject } from './call.ts'
import { ATTENDEE, INTERACTION, TOPIC } from './engagement-objects.ts'
import type { Org } from './org.ts'
import { parserError } from './request-body.ts'
import { findField } from './schema.ts'
import type { ObjectDefinition } from './schema.ts'
import type { RecordInput } from './validate-record.ts'

/** First versions of the fields that came later than the resource (facts 11). */
const fieldVersions: Readonly<Record<string, number>> = { customFieldsList: 56, phoneNumber: 57 }

/** What the Connect resource knows of one level of an interaction. */
export interface Level {
  object: string
  fields: readonly string[]
  required: readonly string[]
}

export const interactionLevel: Level = {
  object: INTERACTION,
  fields: [
    ...['initiatingAttendeeId', 'attendeeAuthenticated', 'attendeeVerified', 'startDateTime', 'endDateTime'],
    ...['communicationChannel', 'sentiment', 'contextId', 'externalIdentifierId', 'type', 'mappedState'],
    ...['status', 'attendeeVerificationTime', 'reason', 'phoneNumber', 'ownerId', 'customFieldsList'],
    ...['engagementAttendees', 'engagementTopics'],
  ],
  required: ['attendeeVerified', 'communicationChannel', 'startDateTime'],
}

export const attendeeLevel: Level = {
  object: ATTENDEE,
  fields: [
    ...['startDateTime', 'endDateTime', 'externalAttendeeId', 'internalAttendeeId', 'role'],
    ...['verificationTime', 'isAuthenticated', 'isVerified', 'customFieldsList'],
  ],
  required: ['isAuthenticated', 'isVerified', 'startDateTime'],
}

export const topicLevel: Level = {
  object: TOPIC,
  fields: [
    ...['topicId', 'relatedPersonId', 'name', 'parentTopicId', 'processName', 'processType'],
    ...['processStatus', 'interactionSummary', 'processFailureReason', 'customFieldsList'],
  ],
  required: ['name'],
}

/** Members that hold further records or custom fields. */
const nested = new Set(['customFieldsList', 'engagementAttendees', 'engagementTopics'])

/** A list of a level's further records. @throws {ApiError} when it is none */
export function listOf(input: JsonObject, name: string): JsonObject[] {
  const list = input[name] ?? []
  if (!Array.isArray(list) || !list.every(isJsonObject))
    throw parserError(`Cannot deserialize instance of list from the value of ${name}`)
  return list
}

/**
 * One level of an interaction as the record that it is stored as.
 * @throws {ApiError} in the Connect shape, for what the resource refuses by itself
 */
export function readLevel(org: Org, level: Level, input: JsonObject, version: number): RecordInput {
  const object = org.table(level.object)?.object
  if (object === undefined) throw new Error(`the org has no object ${level.object}`)
  const record: RecordInput = {}
  for (const [name, value] of Object.entries(input)) {
    if (!level.fields.includes(name) || version < (fieldVersions[name] ?? 0))
      throw parserError(`Unrecognized field "${name}"`)
    if (!nested.has(name)) record[`${name.charAt(0).toUpperCase()}${name.slice(1)}`] = value
  }
  const missing = level.required.filter((name) => (input[name] ?? null) === null)
  if (missing.length > 0) {
    throw new ApiError(400, 'REQUIRED_FIELD_MISSING', `Required fields are missing: [${missing.join(', ')}]`)
  }
  for (const entry of listOf(input, 'customFieldsList')) Object.assign(record, customField(object, entry))
  return record
}

function customField(object: ObjectDefinition, { key, value, ...rest }: JsonObject): RecordInput {
  if (typeof key !== 'string' || value === undefined || Object.keys(rest).length > 0)
    throw parserError('an entry of customFieldsList needs a key and a value')
  if (isJsonObject(value)) return geolocation(object, key, value)
  const field = findField(object, key)
  if (!field?.custom) throw unknownColumn(object, key)
  // Plain dates come in the American order (facts 11).
  const date =
    field.type === 'date' ? /^(\d\d)\/(\d\d)\/(\d{4})$/.exec(typeof value === 'string' ? value : '') : null
  return { [field.name]: date === null ? value : `${date[3]}-${date[1]}-${date[2]}` }
}

function geolocation(object: ObjectDefinition, key: string, value: JsonObject): RecordInput {
  const stem = key.replace(/__c$/i, '')
  const latitude = findField(object, `${stem}__Latitude__s`)
  const longitude = findField(object, `${stem}__Longitude__s`)
  if (!latitude || !longitude) throw unknownColumn(object, key)
  return { [latitude.name]: value.latitude, [longitude.name]: value.longitude }
}

const unknownColumn = (object: ObjectDefinition, name: string): ApiError =>
  new ApiError(400, 'INVALID_FIELD', `No such column '${name}' on sobject of type ${object.name}`)
