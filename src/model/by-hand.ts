import { hasOperationEnded, operationStateOf, type OperationState } from './operation.ts'
import type { WriteState } from './write.ts'

/** What may be done to an operation by hand (contract section 7). */
export type HandMove = 'cancel' | 'retry' | 'resolve'

/** Which operation is to be moved, and by whom. */
export interface HandRequest {
  projectId: string
  operationId: string
  /** The API key that asks for it; null for the operator's. */
  keyId: string | null
}

/** What somebody found out of an operation in doubt. */
export interface Resolution {
  /** Whether its record was written. */
  success: boolean
  /** The provider's id of the record, where known. */
  recordId: string | null
}

/** What became of a move by hand. */
export type HandResult =
  | { kind: 'moved' }
  /** The operation's state does not allow it; nothing was changed. */
  | { kind: 'refused'; state: OperationState }
  /** One record id was given for several records in doubt; nothing was changed. */
  | { kind: 'several'; count: number }
  /** The project has no such operation. */
  | { kind: 'not_found' }

/** A move that was made, as kept. */
export interface HandView {
  move: HandMove
  keyId: string | null
  /** Records that it moved. */
  records: number
  /** For `resolve`. */
  success: boolean | null
  recordId: string | null
  at: Date
}

/**
 * The records of an operation that a move by hand moves; none when the operation's state does not allow
 * it. A batch is cancelled whole or not at all, and nothing of it is moved before all of it has ended
 * otherwise. One with allOrNone is sent again whole or not at all.
 */
export function movedByHand(
  move: HandMove,
  records: readonly { id: string; state: WriteState }[],
  allOrNone: boolean,
): string[] {
  const state = operationStateOf(records.map((record) => record.state))
  const idsOf = (...states: WriteState[]): string[] =>
    records.filter((record) => states.includes(record.state)).map((record) => record.id)
  if (move === 'cancel') return state === 'queued' ? idsOf('queued') : []
  if (!hasOperationEnded(state)) return []
  if (move === 'resolve') return idsOf('in_doubt')
  return allOrNone && state === 'partial' ? [] : idsOf('failed', 'in_doubt')
}
