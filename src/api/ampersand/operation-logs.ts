import type { OperationLog } from '../../contract/operation.ts'
import { tally } from '../../kernel/tally.ts'
import type { HandMove, HandView } from '../../model/by-hand.ts'
import { hasOperationEnded } from '../../model/operation.ts'
import type { AttemptView, OpenBatch, OperationView } from '../../queue/read.ts'
import { resultOf, stateOf } from './operation-view.ts'

/**
 * An operation's history, oldest first: accepted, then for each provider call that carried it how it was
 * grouped and what the provider answered, and its outcome.
 *
 * @param attempts of all its records, in the order of the calls
 * @param open the groups that are being sent with some of its records
 * @param hands what was done to it by hand, in order
 */
export function toLogs(
  operation: OperationView,
  attempts: AttemptView[],
  open: OpenBatch[],
  hands: HandView[] = [],
): OperationLog[] {
  const { isBatch, records } = operation
  const logs = [
    line(operation.acceptedAt, 'info', {
      msg: 'accepted',
      type: operation.type,
      objectName: operation.objectName,
      reference: operation.reference ?? undefined,
      ...(isBatch ? { size: records.length, allOrNone: operation.allOrNone } : {}),
    }),
  ]
  const places = new Map(records.map((record, index) => [record.id, index]))
  for (const call of Map.groupBy(attempts, (attempt) => attempt.batchId).values())
    logs.push(...(isBatch ? batchLines(call, places) : call.flatMap(singleLines)))
  for (const { batchId, size, claimedAt } of open)
    logs.push(line(claimedAt, 'info', { msg: 'grouped', batchId, size }))
  for (const hand of hands) {
    const after = logs.findLastIndex((log) => log.timestamp <= hand.at.toISOString())
    logs.splice(after + 1, 0, handLine(hand, isBatch))
  }
  const outcome = outcomeLine(operation)
  return outcome === null ? logs : [...logs, outcome]
}

const handTexts: Record<HandMove, string> = {
  cancel: 'cancelled',
  retry: 'retried by hand',
  resolve: 'resolved by hand',
}

/** Who did what: the API key's id, or the operator. */
const handLine = (hand: HandView, isBatch: boolean): OperationLog =>
  line(hand.at, 'info', {
    msg: handTexts[hand.move],
    by: hand.keyId ?? 'operator',
    ...(isBatch ? { records: hand.records } : {}),
    success: hand.success ?? undefined,
    recordId: hand.recordId ?? undefined,
  })

function outcomeLine(operation: OperationView): OperationLog | null {
  const state = stateOf(operation)
  if (!hasOperationEnded(state)) return null
  const { isBatch, records } = operation
  const endedAt = new Date(Math.max(...records.map((record) => record.updatedAt.getTime())))
  const severity =
    state === 'succeeded' ? 'info' : state === 'cancelled' || state === 'partial' ? 'warning' : 'error'
  const written = records.filter((record) => record.state === 'succeeded').length
  return line(endedAt, severity, {
    msg: 'outcome',
    state,
    result: resultOf(operation),
    ...(isBatch
      ? { successCount: written, failureCount: records.length - written }
      : { errors: records[0]?.errors ?? undefined }),
    ...(records.some((record) => record.merged) ? { merged: true } : {}),
  })
}

const groupedLine = (attempt: AttemptView, more: { position?: number } = {}): OperationLog =>
  line(attempt.startedAt ?? attempt.endedAt, 'info', {
    msg: 'grouped',
    batchId: attempt.batchId,
    callId: attempt.callId,
    size: attempt.batchSize,
    ...more,
  })

const singleLines = (attempt: AttemptView): OperationLog[] => [
  groupedLine(attempt, { position: attempt.position }),
  line(attempt.endedAt, attempt.decision === 'succeeded' ? 'info' : 'warning', {
    msg: 'attempt',
    number: attempt.number,
    batchId: attempt.batchId,
    answer: attempt.answer ?? undefined,
    status: attempt.status ?? undefined,
    decision: attempt.decision,
    errors: attempt.errors ?? undefined,
    nextAttempt: attempt.nextAt?.toISOString(),
  }),
]

/** One call for a caller-built batch: what came of each record in numbers, and of those that were not written by name. */
function batchLines(call: AttemptView[], places: ReadonlyMap<string, number>): OperationLog[] {
  const [first] = call
  if (first === undefined) return []
  const decisions = tally(call.map(({ decision }) => decision))
  const failures = call
    .filter((attempt) => attempt.decision !== 'succeeded')
    .map((attempt) => ({
      index: places.get(attempt.writeId),
      decision: attempt.decision,
      errors: attempt.errors ?? undefined,
      nextAttempt: attempt.nextAt?.toISOString(),
    }))
    .sort((a, b) => (a.index ?? 0) - (b.index ?? 0))
  return [
    groupedLine(first),
    line(first.endedAt, failures.length === 0 ? 'info' : 'warning', {
      msg: 'attempt',
      number: Math.max(...call.map((attempt) => attempt.number)),
      batchId: first.batchId,
      answer: first.answer ?? undefined,
      status: first.status ?? undefined,
      decisions,
      ...(failures.length === 0 ? {} : { failures }),
    }),
  ]
}

const line = (
  at: Date,
  severity: OperationLog['severity'],
  message: OperationLog['message'],
): OperationLog => ({ timestamp: at.toISOString(), severity, message })
