import type { CallAnswer } from '../../model/outcome.ts'
import type { ProviderGroup } from '../provider.ts'
import { isObject, lostAnswer, parseAnswer, readFailure, toRecordAnswer } from './answer.ts'
import type { ApiCall } from './call-series.ts'
import { InvalidGroup, segment } from './collections.ts'
import type { HttpAnswer } from './http.ts'

type Write = Pick<ProviderGroup, 'objectName' | 'type' | 'externalIdField'> & Pick<ApiCall, 'headers'>

/** JSON with numbers kept as they were written; the typings do not know of it yet. */
interface SourceJson {
  parse(text: string, revive: (key: string, value: unknown, context: { source?: string }) => unknown): unknown
  rawJSON(text: string): unknown
}
const sourceJson = JSON as unknown as SourceJson

/** The fields of a record's text; numbers come as texts of themselves, which {@link JSON.stringify} gives back as they were. */
function fieldsOf(record: string): [name: string, value: unknown][] {
  const fields = sourceJson.parse(record, (_, value, { source }) =>
    typeof value === 'number' && source !== undefined ? sourceJson.rawJSON(source) : value,
  )
  if (!isObject(fields)) throw new InvalidGroup('A record is not a JSON object.')
  return Object.entries(fields)
}

const isNamed = (name: string, wanted: string): boolean => name.toLowerCase() === wanted.toLowerCase()

const textOf = (fields: readonly [string, unknown][]): string => JSON.stringify(Object.fromEntries(fields))

/** A key's value as it stands in a path. */
function keyText(value: unknown): string {
  if (typeof value === 'string') return value
  if (value === null || value === undefined) return ''
  return JSON.stringify(value)
}

/**
 * The call that writes one record on its own (facts 2). For an upsert the key stands in the path and not
 * in the body.
 * @throws {InvalidGroup}
 */
export function singleRequest(write: Write, record: string): ApiCall {
  const { objectName, type, externalIdField, headers } = write
  const path = `/sobjects/${segment(objectName, 'object')}`
  if (type === 'create') return { method: 'POST', path, headers, body: record }
  if (type !== 'upsert' || externalIdField === null) {
    throw new InvalidGroup('Only a create or an upsert can collide with another record.')
  }
  const fields = fieldsOf(record)
  const key = keyText(fields.find(([name]) => isNamed(name, externalIdField))?.[1])
  return {
    method: 'PATCH',
    path: `${path}/${segment(externalIdField, 'external-id field')}/${segment(key, `value of ${externalIdField}`)}`,
    headers,
    body: textOf(fields.filter(([name]) => !isNamed(name, externalIdField))),
  }
}

/**
 * The call that gives a record with this id the fields of a create or an upsert. An upsert's key goes
 * along: from then on the record is the one that its caller means by that key, and sending the upsert
 * again finds it. Only `Id` is no field that can be written.
 * @throws {InvalidGroup}
 */
export function updateRequest(write: Write, record: string, id: string): ApiCall {
  const { objectName, headers } = write
  const fields = fieldsOf(record).filter(([name]) => !isNamed(name, 'Id'))
  return {
    method: 'PATCH',
    path: `/sobjects/${segment(objectName, 'object')}/${id}`,
    headers,
    body: textOf(fields),
  }
}

/**
 * Reads the answer to a single-record call (facts 2). What the provider says against the record is that
 * record's own answer, with the error array as `raw`; a session that does not work and a limit stay
 * `refused`.
 */
export function readSingle(answer: HttpAnswer, type: ProviderGroup['type']): CallAnswer {
  const parsed = parseAnswer(answer)
  const { status, body, content, usage } = parsed
  if (status >= 200 && status < 300) {
    if (isObject(body) && typeof body.success === 'boolean') {
      return { kind: 'answered', status, records: [toRecordAnswer(body, type)], usage }
    }
    return status === 204 && content === 'empty'
      ? { kind: 'answered', status, records: [{ ok: true, recordId: null, created: false }], usage }
      : lostAnswer(status, 'UNREADABLE_ANSWER', `The provider answered ${status} with what cannot be read.`)
  }
  const failure = readFailure(parsed, type)
  if (failure.kind !== 'refused' || failure.raw === undefined) return failure
  const { errors, errorClass, maxRetries, cause, raw } = failure
  if (errorClass === 'auth' || errorClass === 'throttled') return failure
  return {
    kind: 'answered',
    status,
    records: [
      {
        ok: false,
        errors,
        errorClass,
        ...(maxRetries === undefined ? {} : { maxRetries }),
        ...(cause === undefined ? {} : { cause }),
        raw,
      },
    ],
    usage,
  }
}
