import { hasEnded, type WriteState } from './write.ts'

/** The states of an operation: those of a write, and `partial` for a batch of which some was written. */
export type OperationState = WriteState | 'partial'

/**
 * The state of an operation by those of its records (contract section 7). One record: its own. Of
 * several, `queued` while none is begun, `sending` until all have ended; then what is known for sure
 * outweighs what is not: some written is `partial`, none written and one unknown is `in_doubt`.
 */
export function operationStateOf(states: readonly WriteState[]): OperationState {
  const all = (state: WriteState): boolean => states.every((one) => one === state)
  if (all('queued')) return 'queued'
  if (!states.every(hasEnded)) return 'sending'
  if (all('succeeded') || all('cancelled')) return states[0] ?? 'cancelled'
  if (states.includes('succeeded')) return 'partial'
  return states.includes('in_doubt') ? 'in_doubt' : 'failed'
}

/** Whether an operation in this state has ended. */
export const hasOperationEnded = (state: OperationState): boolean => state === 'partial' || hasEnded(state)
