import type { NowOutcome, NowRecord } from '../model/now-outcome.ts'
import type { TriedRecord } from '../queue/idempotency-keys.ts'

/**
 * What a synchronous call would have answered whose process was lost, as far as its records tell: null
 * while it may still be running, or a worker is sending what it left to the queue.
 */
export function impliedOutcome(records: readonly TriedRecord[]): NowOutcome | null {
  const isAny = (state: TriedRecord['state']): boolean => records.some((record) => record.state === state)
  if (records.length === 0) return unknown('The write is not kept any more.')
  if (isAny('sending')) return null
  if (isAny('queued')) return { kind: 'still_trying', reason: 'The process that took the call was lost.' }
  if (isAny('in_doubt')) return unknown(reasonOf(records))
  const code = unsentCode(records)
  if (code === 'RECORD_BUSY') return { kind: 'record_busy' }
  if (code === 'PROVIDER_UNREACHABLE') return { kind: 'unreachable', reason: reasonOf(records) }
  return { kind: 'ended', records: records.map(toNowRecord) }
}

const unknown = (reason: string): NowOutcome => ({ kind: 'unknown', because: 'timeout', reason })

const reasonOf = (records: readonly TriedRecord[]): string =>
  records.find((record) => record.errors !== null)?.errors?.at(-1)?.message ?? ''

/** What a write is failed with whose call was refused before it was sent. */
const refusals = ['DATABASE_UNAVAILABLE', 'NO_WORKING_CONNECTION', 'SHUTTING_DOWN', 'INTERNAL']

/** Whether a synchronous call was refused after it had been recorded: its caller was told that nothing was written. */
export const wasRefused = (records: readonly TriedRecord[]): boolean =>
  refusals.includes(unsentCode(records) ?? '')

/** Why nothing was sent, when nothing was. */
const unsentCode = (records: readonly TriedRecord[]): string | undefined =>
  records.length > 0 && records.every((record) => record.state === 'failed' && record.attempts === 0)
    ? records[0]?.errors?.[0]?.code
    : undefined

const toNowRecord = ({ state, recordId, created, errors, namedId }: TriedRecord): NowRecord =>
  state === 'succeeded'
    ? { ok: true, recordId: recordId ?? namedId, created, data: null }
    : { ok: false, errors: errors ?? [] }
