import type { Operation } from '../contract/operation.ts'
import type { BatchOutcome, ProviderError, RecordAnswer } from './types.ts'

/** What became of one record. */
export interface RecordOutcome {
  /** Its place in the batch; 0 for a write of one record. */
  index: number
  success: boolean
  recordId?: string
  errors: ProviderError[]
}

/** What became of a write, whichever way it went. */
export interface WriteOutcome {
  operationId: string
  /**
   * Which way it went: through the queue, by sending what was queued at once (`promoted`), or by a synchronous call
   * that was made in place of queueing it.
   */
  via: 'asynchronous' | 'promoted' | 'synchronous'
  /** `partial`: of a batch, some records were written. `in_doubt`: it is not known (contract section 6.5). */
  state: 'succeeded' | 'partial' | 'failed' | 'in_doubt' | 'cancelled'
  /** Whether every record was written. */
  success: boolean
  records: RecordOutcome[]
  /** With it, and the same write, the call can be repeated and answers the same. */
  idempotencyKey: string
}

/** An outcome before it is known which way it was reached. */
export type Ended = Omit<WriteOutcome, 'via' | 'idempotencyKey'>

/** The outcome that an operation has. */
export function ofOperation({ id, metadata }: Operation): Ended {
  const state = metadata.state as WriteOutcome['state']
  const records = metadata.records.map(({ index, success, recordId, errors }) => ({
    index,
    success,
    ...(recordId === undefined ? {} : { recordId }),
    errors,
  }))
  return { operationId: id, state, success: state === 'succeeded', records }
}

/** The outcome that a synchronous call answered with. */
export function ofAnswer(answer: RecordAnswer | BatchOutcome): Ended {
  const { operationId } = answer
  const records = 'results' in answer ? answer.results.map(ofResult) : [ofResult(ofSingle(answer), 0)]
  const written = records.filter((record) => record.success).length
  const state = written === 0 ? 'failed' : written === records.length ? 'succeeded' : 'partial'
  return { operationId, state, success: state === 'succeeded', records }
}

type Result = BatchOutcome['results'][number]

const ofSingle = (answer: RecordAnswer): Result =>
  'errors' in answer ? { success: false, data: { errors: answer.errors } } : answer.result

function ofResult({ success, recordId, data }: Result, index: number): RecordOutcome {
  const errors = success ? [] : ((data as { errors?: ProviderError[] } | undefined)?.errors ?? [])
  return { index, success, ...(recordId === undefined ? {} : { recordId }), errors }
}
