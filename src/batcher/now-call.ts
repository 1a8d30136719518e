import type { CallAnswer } from '../model/outcome.ts'
import type { Settlement } from '../queue/settle-batch.ts'
import type { CallTime } from './call-time.ts'
import type { AnswerKeeper } from './keep-answer.ts'
import type { OutcomeWaiter } from './outcome-watch.ts'
import type { LateRecords } from './late-records.ts'
import type { CallRunner } from './run-call.ts'

/** One synchronous call on its way. */
export interface NowCall {
  runner: CallRunner
  waiter: OutcomeWaiter
  time: CallTime
  /** Whether the queue had the writes before the call: what is not written in its time goes back there. */
  fromQueue: boolean
  /** Aborted when the process is to stop and cuts off what is in flight. */
  cut: AbortSignal
  /** Lets the process's stop wait for something that may go on after the call. */
  keep: <T>(work: Promise<T>) => Promise<T>
  /** Records what cannot be recorded at once. */
  late: LateRecords
  /** For a call of which nothing is recorded: is told what each try came to. */
  unrecorded?: (answer: CallAnswer, settlements: Settlement[]) => void
  /** Keeps what the call answers, for calls that repeat it; absent for one that nobody can repeat. */
  answers?: AnswerKeeper
}
