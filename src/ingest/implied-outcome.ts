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
  if (isBusy(records)) return { kind: 'record_busy' }
  return { kind: 'ended', records: records.map(toNowRecord) }
}

const unknown = (reason: string): NowOutcome => ({ kind: 'unknown', because: 'timeout', reason })

const reasonOf = (records: readonly TriedRecord[]): string =>
  records.find((record) => record.errors !== null)?.errors?.at(-1)?.message ?? ''

/** What a write is failed with whose call was refused before anything of it could be written. */
const refusals = ['DATABASE_UNAVAILABLE', 'NO_WORKING_CONNECTION', 'SHUTTING_DOWN', 'INTERNAL']

/**
 * Whether a synchronous call was refused after it had been recorded, its caller having been told that nothing
 * was written, or was lost with its process before it was sent: nothing of it is at the provider, nor ever
 * will be. It may have tried to reach the provider before. A call that had an outcome is not asked about:
 * its answer is kept with it.
 */
export const wasRefused = (records: readonly TriedRecord[]): boolean =>
  records.length > 0 &&
  records.every(({ state, attempts, errors }) => {
    const code = errors?.[0]?.code ?? ''
    return (
      state === 'failed' && (refusals.includes(code) || (code === 'PROVIDER_UNREACHABLE' && attempts === 0))
    )
  })

const isBusy = (records: readonly TriedRecord[]): boolean =>
  records.every(
    ({ state, attempts, errors }) =>
      state === 'failed' && attempts === 0 && errors?.[0]?.code === 'RECORD_BUSY',
  )

const toNowRecord = ({ state, recordId, created, errors, namedId }: TriedRecord): NowRecord =>
  state === 'succeeded'
    ? { ok: true, recordId: recordId ?? namedId, created, data: null }
    : { ok: false, errors: errors ?? [] }
