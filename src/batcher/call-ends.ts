import type { NowEnd, NowOutcome } from '../model/now-outcome.ts'
import { toNowOutcome, type TriesEnd } from './now-result.ts'

/** How one of a call's batches ended. */
export interface BatchEnd extends Omit<TriesEnd, 'reached'> {
  /** Set when nothing is recorded of it yet: the database was away. */
  unrecorded?: true
  /** What kept it from being sent; thrown to the caller when nothing of the call was. */
  failure?: unknown
}

/** How the batches of a synchronous call end, each by its own tries, and what the call is told of all of them. */
export class CallEnds {
  /** Whether any try of any of them reached the provider. */
  reached = false
  readonly #ends: (BatchEnd | null)[]
  readonly #isRecorded: boolean

  /** @param isRecorded whether what becomes of the call is recorded at all */
  constructor(batches: number, isRecorded: boolean) {
    this.#ends = Array.from({ length: batches }, () => null)
    this.#isRecorded = isRecorded
  }

  /** Whether all the others have ended. */
  isLast(place: number): boolean {
    return this.#ends.every((end, other) => other === place || end !== null)
  }

  end(place: number, end: BatchEnd): void {
    this.#ends[place] = end
  }

  /**
   * What the call is told, all its batches having ended.
   *
   * @param last how the last of them ends, where that is not noted yet
   * @throws {WritebackError} as {@link toNowOutcome}; what kept them from being sent when nothing was
   */
  outcome(last?: BatchEnd): NowOutcome {
    const ends = this.#ends.flatMap((end) => end ?? last ?? [])
    const failed = ends.find(({ failure }) => failure !== undefined)
    if (failed !== undefined && !this.reached) throw failed.failure
    const doubtful = ends.find(({ doubt }) => doubt !== null)
    const telling =
      doubtful ?? ends.find(({ isLeft }) => isLeft) ?? ends.find(({ reason }) => reason !== null)
    const outcome = toNowOutcome({
      records: ends.flatMap(({ records }) => records),
      doubt: doubtful?.doubt ?? null,
      isLeft: ends.some(({ isLeft }) => isLeft),
      reached: this.reached,
      reason: telling?.reason ?? null,
    })
    if (this.#isRecorded)
      return ends.some(({ unrecorded }) => unrecorded === true) ? { ...outcome, unrecorded: true } : outcome
    const told: NowEnd = outcome.kind === 'still_trying' ? { ...outcome, kind: 'given_up' } : outcome
    return { ...told, unrecorded: true }
  }
}
