/**
 * What the floors tell of their work as it happens, for whoever counts it. They know nothing of metrics: each
 * takes the few of these functions that it calls. All are called often, so they take plain values, once for a
 * commit, a group or a call and never for a single write; they never throw.
 */
export interface Telemetry {
  /** Writes were taken in: committed to the queue, or recorded to be sent at once. */
  accepted: (mode: WriteMode, type: string, writes: number) => void
  /** Calls repeated an earlier one by its idempotency key, and get its answer. */
  replayed: (mode: WriteMode, calls: number) => void
  /** A shared commit of this many writes was made. */
  committed: (writes: number, seconds: number) => void
  /** A shared commit could not be made; those who waited for it were told. */
  commitFailed: () => void
  /** A request to the provider ended; `status` is null when there was no usable answer. */
  providerCalled: (operation: string, status: number | null, seconds: number) => void
  /** A group of writes was sent, and this is why it left when it did. */
  groupSent: (trigger: GroupTrigger, writes: number, lateSeconds: number) => void
  /** A call carried this many writes, and came to this many API calls. */
  callMade: (writes: number, apiCalls: number) => void
  /** What became of writes was recorded. */
  settled: (settled: SettledWrites) => void
  /** Writes ended otherwise than by a call, all with one code: {@link BY_HAND} for those that somebody settled. */
  ended: (outcome: EndedAs, code: string, writes: number) => void
  /** A batch was taken from a process that gave no sign of life; `started`: its call may have gone out. */
  rescued: (started: boolean) => void
  /** A notification was posted. */
  delivered: (result: DeliveryResult, seconds: number) => void
  /** A notification was given up after its day of attempts. */
  deliveryGivenUp: () => void
  /** A destination was switched off for what its receiver did. */
  destinationOff: (reason: string) => void
  /** A request to this service was answered. `route` is the path's template, null when there is none. */
  answered: (method: string, route: string | null, status: number, seconds: number) => void
  /** A call, or one write of a bulk call, was answered with a problem, of this code of the error catalogue. */
  problem: (code: string) => void
}

/** How a write was made. */
export type WriteMode = 'asynchronous' | 'synchronous'

/**
 * Why a group left (contract section 6.3): it was `full`, its `deadline` came, a `flush` was asked for, it went
 * as a `rider`, or it belonged to a `synchronous` call or waited `ahead` of one.
 */
export type GroupTrigger = 'full' | 'deadline' | 'flush' | 'rider' | 'synchronous' | 'ahead'

/** How a write ended. */
export type EndedAs = 'succeeded' | 'failed' | 'in_doubt' | 'cancelled'

/** The code of writes in doubt that somebody settled: they have none of their own. */
export const BY_HAND = 'SETTLED_BY_HAND'

/** What came of posting a notification: a receiver that did not take it answered otherwise, or not at all. */
export type DeliveryResult = 'delivered' | 'refused' | 'unanswered'

/** What became of writes, in numbers. */
export interface SettledWrites {
  succeeded: number
  /** Writes that failed, by the code of their first error. */
  failed: Readonly<Record<string, number>>
  inDoubt: number
  /** To be sent again. */
  retried: number
  /** Turned away by a limit of the org: to be sent again, and no attempt spent. */
  deferred: number
  /** Ids of the operations that ended with it: a UUIDv7 begins with the time of acceptance. */
  ended: readonly string[]
}

const nothing = (): void => undefined

/** Tells nobody. */
export const noTelemetry: Telemetry = {
  accepted: nothing,
  replayed: nothing,
  committed: nothing,
  commitFailed: nothing,
  providerCalled: nothing,
  groupSent: nothing,
  callMade: nothing,
  settled: nothing,
  ended: nothing,
  rescued: nothing,
  delivered: nothing,
  deliveryGivenUp: nothing,
  destinationOff: nothing,
  answered: nothing,
  problem: nothing,
}
