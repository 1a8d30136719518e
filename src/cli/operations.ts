import type { Operation } from '../contract/operation.ts'
import { path, type Api } from './api.ts'
import { exitCodes } from './exit-codes.ts'
import type { Column, Output, Style } from './output.ts'
import { distance, tidy } from './text.ts'

/** The longest that one call waits for an operation, in seconds. */
const MAX_WAIT = 30
/** What the answer itself may take beside the wait, in milliseconds. */
const ANSWER_MS = 20_000

export const hasEnded = ({ status }: Operation): boolean => status !== 'in_progress'

/** The first error of an operation; null without any. */
export const errorOf = ({ metadata }: Operation) =>
  metadata.records.flatMap((record) => record.errors)[0] ?? null

/** The code that an operation failed with; that of its first error. */
export const hasCode = ({ metadata }: Operation, code: string): boolean =>
  metadata.records.some((record) => record.errors.some((error) => error.code === code))

/** What an operation's state says of a command that was about it. */
export function exitOf(state: string): number {
  if (state === 'succeeded') return exitCodes.done
  if (state === 'in_doubt') return exitCodes.inDoubt
  return state === 'queued' || state === 'sending' ? exitCodes.waiting : exitCodes.notWritten
}

/** The exit code of several: what has to be looked at first. */
export function worstExit(codes: Iterable<number>): number {
  const order = [exitCodes.inDoubt, exitCodes.refused, exitCodes.notWritten, exitCodes.waiting]
  const given = new Set(codes)
  return order.find((code) => given.has(code)) ?? exitCodes.done
}

/** The operation once it has ended, or when the time is over. */
export async function waitFor(api: Api, project: string, id: string, timeoutMs: number): Promise<Operation> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const left = Math.max(0, end - performance.now()) / 1000
    const wait = Math.min(MAX_WAIT, Math.ceil(left * 1000) / 1000)
    const operation = await api.get<Operation>(path`/v1/projects/${project}/operations/${id}`, {
      query: { wait: wait === 0 ? undefined : wait },
      timeoutMs: wait * 1000 + ANSWER_MS,
    })
    if (hasEnded(operation) || performance.now() >= end) return operation
  }
}

/** How a state is told apart on a terminal. */
export function styleOf(state: string): Style {
  if (state === 'succeeded') return 'green'
  if (state === 'in_doubt' || state === 'partial') return 'yellow'
  return state === 'failed' || state === 'cancelled' ? 'red' : 'dim'
}

/** A state as people are told it. */
export const stateText = (state: string): string => state.replace('_', ' ')

/** One operation, for people. */
export function showOperation({ line, paint }: Output, operation: Operation): void {
  const { id, resource, createTime, updateTime, result, metadata } = operation
  const { state, reference, retry, batchId, records } = metadata
  line(`${id}  ${paint(styleOf(state), stateText(state))}  ${resource}`)
  line(`  ${tidy(result)}`)
  const fact = (name: string, value: string): void => line(`  ${name.padEnd(10)} ${value}`)
  if (reference !== undefined) fact('reference', tidy(reference))
  for (const record of records) {
    const id = record.recordId === undefined ? [] : [tidy(record.recordId)]
    const created = record.created === undefined ? [] : [record.created ? 'created' : 'not created']
    const said = record.errors.map(({ code, message }) => tidy(`${code}: ${message}`))
    const words = [...id, ...created, ...(record.merged === true ? ['merged'] : []), ...said]
    if (words.length > 0) fact(`record ${record.index + 1}`, words.join(', '))
  }
  fact('accepted', createTime)
  const after = distance(Date.parse(updateTime) - Date.parse(createTime))
  fact(hasEnded(operation) ? 'ended' : 'changed', `${updateTime} (after ${after})`)
  fact('attempts', String(retry.attempts))
  if (retry.nextAttempt !== null && !hasEnded(operation)) fact('next try', retry.nextAttempt)
  if (batchId !== undefined) fact('batch', batchId)
}

const columns: Column[] = [
  { title: 'OPERATION' },
  { title: 'STATE' },
  { title: 'OBJECT', isFlexible: true },
  { title: 'RECORD OR ERROR', isFlexible: true },
]

/** Several operations, a line each. */
export function showOperations(output: Output, operations: readonly Operation[]): void {
  output.table(
    columns,
    operations.map((operation) => {
      const { id, resource, metadata } = operation
      const error = errorOf(operation)
      const said = error === null ? metadata.successfulRecordIds[0] : `${error.code}: ${error.message}`
      return [id, stateText(metadata.state), resource, said ?? '']
    }),
  )
}
