import type { FastifyRequest } from 'fastify'
import type { Issue } from '../../kernel/errors.ts'
import { examine, refuse, type Examined, type RecordPath } from '../../ingest/examine.ts'
import { isSynchronous, type BatchEntry, type WriteBody } from '../../ingest/write-body.ts'
import { addIssues, schemaIssuesOf } from '../issues.ts'

/** Seconds that a synchronous call may take. */
const TIMEOUT = { least: 1, most: 600, usual: 30 }
/** Records of a batch of the write call. */
const MAX_RECORDS = 100

/** A write call whose body has no issues. */
export interface WriteCall {
  body: WriteBody & { groupRef: string }
  examined: Examined
  /** Milliseconds that a synchronous call may take. */
  timeMs: number
  /** The call's Idempotency-Key; null when it has none. */
  key: string | null
}

/**
 * Reads a write call; the schema's issues and those that no schema can name are answered together.
 *
 * @throws {WritebackError} INVALID_REQUEST with every issue
 */
export function readWriteCall(request: FastifyRequest): WriteCall {
  const { body, examined, issues } = readWriteBody(request.body, schemaIssuesOf(request))
  const headers = readCallHeaders(request, isSynchronous(body))
  issues.push(...headers.issues)
  if (issues.length > 0) refuse(issues)
  const { timeMs, key } = headers
  return { body: request.body as WriteBody & { groupRef: string }, examined, timeMs, key }
}

/** What the headers of a call that writes say of it. */
export interface CallHeaders {
  /** Milliseconds that a synchronous call may take; 0 for an asynchronous one. */
  timeMs: number
  /** The call's Idempotency-Key; null when it has none. */
  key: string | null
  /** What is wrong with them. */
  issues: Issue[]
}

/**
 * Reads Request-Timeout and Idempotency-Key (contract section 5).
 *
 * @param isSynchronous whether the call takes its time: that of any other is not looked at
 */
export function readCallHeaders(request: FastifyRequest, isSynchronous = true): CallHeaders {
  const timeMs = isSynchronous ? readTimeout(request.headers['request-timeout']) : 0
  const key = readKey(request.headers['idempotency-key'])
  const issues = [...(timeMs === null ? [badTimeout] : []), ...(key === undefined ? [badKey] : [])]
  return { timeMs: timeMs ?? 0, key: key ?? null, issues }
}

/** What a write's body comes to, and all that is wrong with it. */
export interface ReadBody {
  /** The parts that are of the right kind: all of it, when there are no issues. */
  body: Partial<WriteBody>
  examined: Examined
  issues: Issue[]
}

/** How a call's body is read that is not the write call's own. */
export interface BodyReading {
  /** The most records of a batch: what has more is refused for that alone. The write call's when absent. */
  maxRecords?: number
  /** Where its records stand in what the caller sent; as in the write call's body when absent. */
  recordPath?: RecordPath
  /** Where else in what the caller sent an issue belongs that names a place of the write call's body. */
  pathOf?: (path: string) => string
}

/**
 * Reads the body of a write, whichever call it came with.
 *
 * @param given as the write call's body
 * @param found the schema's issues, of what the caller sent
 */
export function readWriteBody(
  given: unknown,
  found: readonly Issue[],
  { maxRecords = MAX_RECORDS, recordPath, pathOf = (path) => path }: BodyReading = {},
): ReadBody {
  const body = readable(given, maxRecords)
  const examined = examine(body, recordPath)
  const issues = [...found]
  addIssues(
    issues,
    examined.issues.map(({ path, message }) => ({ path: pathOf(path), message })),
  )
  return { body, examined, issues }
}

/** Whether a body asks for an asynchronous write, before anything else is known of it. */
export const asksForQueue = (body: unknown): boolean => isObject(body) && body.mode === 'asynchronous'

const badTimeout: Issue = {
  path: '/headers/request-timeout',
  message: `must be a number of seconds from ${TIMEOUT.least} to ${TIMEOUT.most}`,
}

/**
 * Milliseconds that a call may take by its header.
 *
 * @throws {WritebackError} INVALID_REQUEST for what is no time that a call may take
 */
export function timeoutOf(request: FastifyRequest): number {
  const timeMs = readTimeout(request.headers['request-timeout'])
  if (timeMs === null) refuse([badTimeout])
  return timeMs
}

/** Milliseconds; null for what is no time that a call may take. */
function readTimeout(header: string | string[] | undefined): number | null {
  if (header === undefined) return TIMEOUT.usual * 1000
  if (typeof header !== 'string' || !/^\d{1,3}(\.\d{1,9})?$/.test(header.trim())) return null
  const seconds = Number(header)
  return seconds >= TIMEOUT.least && seconds <= TIMEOUT.most ? Math.round(seconds * 1000) : null
}

const badKey: Issue = {
  path: '/headers/idempotency-key',
  message: 'must be 1 to 255 visible ASCII characters, without spaces',
}

/** Null when there is none, undefined for what can be no key. */
function readKey(header: string | string[] | undefined): string | null | undefined {
  if (header === undefined) return null
  return typeof header === 'string' && /^[\x21-\x7e]{1,255}$/.test(header) ? header : undefined
}

const types = ['create', 'update', 'upsert', 'delete']
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The parts of a body that are of the right kind, for checks that read them; the schema names the others. */
function readable(body: unknown, maxRecords: number): Partial<WriteBody> {
  if (!isObject(body)) return {}
  const { record, autoBatchPolicy, batchPolicy, retryPolicy, type, externalIdField, batch, ...rest } = body
  const keyed = externalIdField === undefined || typeof externalIdField === 'string'
  return {
    ...(rest as Partial<WriteBody>),
    ...(isObject(record) ? { record } : record !== undefined ? { record: {} } : {}),
    ...(batch === undefined ? {} : { batch: readableBatch(batch, maxRecords) }),
    ...(isObject(autoBatchPolicy) ? { autoBatchPolicy } : {}),
    ...(isObject(batchPolicy) ? { batchPolicy } : {}),
    ...(isObject(retryPolicy) ? { retryPolicy } : {}),
    ...(keyed && types.includes(String(type)) ? { type: type as WriteBody['type'] } : {}),
    ...(typeof externalIdField === 'string' ? { externalIdField } : {}),
  }
}

function readableBatch(batch: unknown, maxRecords: number): (BatchEntry | null)[] {
  if (!Array.isArray(batch) || batch.length > maxRecords) return []
  return batch.map((entry: unknown) =>
    isObject(entry) && isObject(entry.record) ? { ...entry, record: entry.record } : null,
  )
}
