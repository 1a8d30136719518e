import { ApiError, notFound } from './api-error.ts'
import type { Answer, RecordError } from './api-error.ts'
import { isJsonObject } from './call.ts'
import type { Call, JsonObject } from './call.ts'
import { attendeeLevel, interactionLevel, listOf, readLevel, topicLevel } from './engagement-input.ts'
import type { Level } from './engagement-input.ts'
import { ATTENDEE, INTERACTION, TOPIC } from './engagement-objects.ts'
import { normaliseId } from './ids.ts'
import type { Org } from './org.ts'
import { recordFault } from './record-faults.ts'
import { renderRecord } from './render-record.ts'
import { objectBody, parserError } from './request-body.ts'
import type { StoredRecord, Table } from './table.ts'
import { BadValueError } from './validate-record.ts'
import type { RecordInput } from './validate-record.ts'
import { deleteRecord, insertRecord } from './write-record.ts'

/**
 * `POST /connect/service-excellence/engagement-interactions` (facts 11): an interaction with its attendees and
 * topics in one transaction, kept as ordinary records.
 */
export function createInteraction(org: Org, call: Call): Answer {
  checkAccess(org)
  const mark = call.tx.mark()
  try {
    return created(org, write(org, call))
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    call.tx.rollback(mark)
    if (org.settings.engagementErrors === 'http') throw error
    const status = { code: error.status, message: error.message }
    return { status: org.settings.engagementStatus, body: { engagementInteraction: null, status } }
  }
}

/** `GET …/{id}`. */
export function getInteraction(org: Org, call: Call): Answer {
  checkAccess(org)
  const record = found(org, call)
  const interaction = {
    ...shown(record),
    engagementAttendees: childrenOf(org, ATTENDEE, record).map(shown),
    engagementTopics: childrenOf(org, TOPIC, record).map(shown),
  }
  return { status: 200, body: { engagementInteraction: interaction, status: statusOf(org) } }
}

/** `DELETE …/{id}`: with its attendees and topics. */
export function deleteInteraction(org: Org, call: Call): Answer {
  checkAccess(org)
  const record = found(org, call)
  for (const name of [ATTENDEE, TOPIC]) {
    const table = tableOf(org, name)
    for (const child of childrenOf(org, name, record)) deleteRecord(call.tx, table, child.id)
  }
  deleteRecord(call.tx, tableOf(org, INTERACTION), record.id)
  return { status: 204 }
}

/** @throws {ApiError} when the org has no licence for the resource (facts 11) */
function checkAccess({ settings }: Org): void {
  if (settings.engagementAccess === 'absent') throw notFound()
  if (settings.engagementAccess === 'forbidden') {
    throw new ApiError(
      403,
      'FUNCTIONALITY_NOT_ENABLED',
      'This feature is not currently enabled for this user type or org: [ServiceExcellence]',
    )
  }
}

interface Ids {
  id: string
  attendees: string[]
  topics: string[]
}

function write(org: Org, call: Call): Ids {
  const body = objectBody(call)
  const { engagementInteraction: input } = body
  const unknown = Object.keys(body).find((name) => name !== 'engagementInteraction')
  if (unknown !== undefined) throw parserError(`Unrecognized field "${unknown}"`)
  if (!isJsonObject(input))
    throw new ApiError(400, 'MISSING_ARGUMENT', 'Specify a value for engagementInteraction')
  const fault = recordFault(org, call, tableOf(org, INTERACTION), input)
  if (fault) throw refusalOf([fault])
  refuseRepeat(org, input)
  const id = insert(org, call, interactionLevel, input)
  const below = (name: string, level: Level): string[] =>
    listOf(input, name).map((one) => insert(org, call, level, one, { EngagementInteractionId: id }))
  return {
    id,
    attendees: below('engagementAttendees', attendeeLevel),
    topics: below('engagementTopics', topicLevel),
  }
}

/** What a repeat of an external identifier comes to is not documented (facts 11), so it is a setting. */
function refuseRepeat(org: Org, input: JsonObject): void {
  const { engagementRepeat } = org.settings
  const key = input.externalIdentifierId
  if (engagementRepeat === 'second' || typeof key !== 'string' || key === '') return
  const [twin] = org.find(INTERACTION, 'ExternalIdentifierId', key)
  if (!twin) return
  const status = engagementRepeat === 'conflict' ? 409 : 400
  const message = `duplicate value found: ExternalIdentifierId duplicates value on record with id: ${twin.Id}`
  throw new ApiError(status, 'DUPLICATE_VALUE', message)
}

function insert(org: Org, call: Call, level: Level, input: JsonObject, more: RecordInput = {}): string {
  const record = { ...readLevel(org, level, input, call.version), ...more }
  try {
    const result = insertRecord(org, call.tx, tableOf(org, level.object), record)
    if (result.success) return result.id
    throw refusalOf(result.errors)
  } catch (error) {
    if (!(error instanceof BadValueError)) throw error
    throw parserError(`Cannot deserialize instance of ${error.field.type} from the value of ${error.key}`)
  }
}

/** Codes of an invalid reference, which Connect has one word for (facts 11). */
const invalidReferences = new Set(['INVALID_CROSS_REFERENCE_KEY', 'MALFORMED_ID'])

/** A record's errors in the Connect shape, which names no fields; the first of them. */
function refusalOf([error]: RecordError[]): ApiError {
  const { statusCode, message } = error ?? { statusCode: 'UNKNOWN_EXCEPTION', message: 'no reason' }
  return new ApiError(400, invalidReferences.has(statusCode) ? 'INVALID_ID_FIELD' : statusCode, message)
}

const idsOf = (ids: string[]): { id: string }[] => ids.map((id) => ({ id }))

const created = (org: Org, { id, attendees, topics }: Ids): Answer => ({
  status: org.settings.engagementStatus,
  body: {
    engagementInteraction: {
      id,
      engagementAttendees: idsOf(attendees),
      engagementTopics: idsOf(topics),
    },
    status: statusOf(org),
  },
})

function statusOf({ settings }: Org): JsonObject {
  const { engagementStatusCode: code } = settings
  return code === 'absent' ? { message: 'Success' } : { code, message: 'Success' }
}

function tableOf(org: Org, name: string): Table {
  const table = org.table(name)
  if (!table) throw new Error(`the org has no object ${name}`)
  return table
}

/** The interaction that the path names. @throws {ApiError} 404 */
function found(org: Org, call: Call): StoredRecord {
  const record = tableOf(org, INTERACTION).live.get(normaliseId(call.segments[3]) ?? '')
  if (!record) throw notFound()
  return record
}

const childrenOf = (org: Org, name: string, { id }: StoredRecord): StoredRecord[] =>
  [...tableOf(org, name).live.values()].filter((child) => child.values.EngagementInteractionId === id)

/** A record by the names of the Connect resource. */
function shown(record: StoredRecord): JsonObject {
  const fields = Object.entries(renderRecord(record)).filter(([name]) => name !== 'attributes')
  return Object.fromEntries(
    fields.map(([name, value]) => [`${name.charAt(0).toLowerCase()}${name.slice(1)}`, value]),
  )
}
