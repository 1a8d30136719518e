import type { Operation } from '../../contract/operation.ts'
import { hasOperationEnded, operationStateOf, type OperationState } from '../../model/operation.ts'
import type { OperationView, RecordView } from '../../queue/read.ts'

/** The state of an operation. */
export const stateOf = ({ records }: OperationView): OperationState =>
  operationStateOf(records.map((record) => record.state))

const statusOf = (state: OperationState): Operation['status'] => {
  if (state === 'succeeded' || state === 'partial') return 'success'
  return hasOperationEnded(state) ? 'failure' : 'in_progress'
}

const errorText = (records: RecordView[]): string => {
  const [error] = records.flatMap((record) => record.errors ?? [])
  return error === undefined ? '' : `: ${error.code}: ${error.message}`
}

/** What came of an operation, in a sentence. */
export function resultOf(operation: OperationView): string {
  const { isBatch, records } = operation
  const state = stateOf(operation)
  const what = isBatch ? 'The batch' : 'The write'
  switch (state) {
    case 'queued':
      return records.every((record) => record.errors === null)
        ? `${what} waits to be sent.`
        : `${what} waits to be sent again${errorText(records)}`
    case 'sending':
      return `${what} is being sent.`
    case 'succeeded':
      if (isBatch) return `${counted(records.length)} written.`
      return records[0]?.created === true ? 'The record was created.' : 'The record was written.'
    case 'partial': {
      const written = records.filter((record) => record.state === 'succeeded').length
      return `${written} of ${counted(records.length)} written${errorText(records)}`
    }
    case 'failed':
      return isBatch
        ? `No record of the batch was written${errorText(records)}`
        : `The record was not written${errorText(records)}`
    case 'in_doubt':
      return isBatch
        ? 'It is not known which records of the batch were written: the answer was lost.'
        : 'It is not known whether the record was written: the answer was lost.'
    case 'cancelled':
      return records.every((record) => record.attempts === 0)
        ? `${what} was cancelled before it was sent.`
        : `${what} was cancelled before it was sent again${errorText(records)}`
  }
}

const counted = (count: number): string => (count === 1 ? '1 record was' : `${count} records were`)

const latest = (times: (Date | null)[]): Date | null =>
  times.reduce((last, time) => (time !== null && (last === null || time > last) ? time : last), null)

const earliest = (times: (Date | null)[]): Date | null =>
  times.reduce((first, time) => (time !== null && (first === null || time < first) ? time : first), null)

/** An operation as it is shown (contract section 7). */
export function toOperation(operation: OperationView): Operation {
  const { records } = operation
  const state = stateOf(operation)
  const updatedAt = latest(records.map((record) => record.updatedAt)) ?? operation.acceptedAt
  return {
    id: operation.id,
    projectId: operation.projectId,
    integrationId: operation.integrationId,
    installationId: operation.installationId,
    configId: operation.configId,
    actionType: 'write',
    resource: operation.objectName,
    status: statusOf(state),
    result: resultOf(operation),
    createTime: operation.acceptedAt.toISOString(),
    updateTime: updatedAt.toISOString(),
    metadata: {
      objects: [operation.objectName],
      retry: {
        attempts: Math.max(...records.map((record) => record.attempts)),
        lastAttempt: latest(records.map((record) => record.lastAttemptAt))?.toISOString() ?? null,
        nextAttempt: earliest(records.map((record) => record.nextAttemptAt))?.toISOString() ?? null,
      },
      successfulRecordIds: records.flatMap((record) =>
        record.state === 'succeeded' ? (record.recordId ?? []) : [],
      ),
      ...(operation.reference === null ? {} : { reference: operation.reference }),
      state,
      ...lastBatch(records),
      records: hasOperationEnded(state) ? records.map(toRecord) : [],
    },
  }
}

/** The group that it was last sent in: a later id is a later group. */
function lastBatch(records: RecordView[]): { batchId?: string } {
  const batchId = records
    .flatMap((record) => record.batchId ?? [])
    .sort()
    .at(-1)
  return batchId === undefined ? {} : { batchId }
}

const toRecord = (record: RecordView, index: number): Operation['metadata']['records'][number] => ({
  index,
  success: record.state === 'succeeded',
  ...(record.recordId === null ? {} : { recordId: record.recordId }),
  ...(record.created === null ? {} : { created: record.created }),
  ...(record.merged ? { merged: true } : {}),
  errors: record.errors ?? [],
})
