import type { ProviderError } from './outcome.ts'

/** What a synchronous call has to say of one of its records. */
export type NowRecord =
  /** `data` is the provider's own result. */
  | { ok: true; recordId: string | null; created: boolean | null; data: unknown }
  /** `raw` is the provider's own word, where it gave one. */
  | { ok: false; errors: ProviderError[]; raw?: unknown }

/** How a synchronous call ended (contract section 5). */
export type NowOutcome = NowEnd & {
  /** Set when nothing is recorded of it, or not yet: the database was away. */
  unrecorded?: true
}

export type NowEnd =
  /** Every record has its outcome, by the caller's positions. */
  | { kind: 'ended'; records: NowRecord[] }
  /** A create's answer was lost: `timeout` when none came in time, `cut_off` when it broke off. In doubt. */
  | { kind: 'unknown'; because: 'timeout' | 'cut_off'; reason: string }
  /** Time is up; what is safe to send again is left to the queue, which goes on with it. */
  | { kind: 'still_trying'; reason: string }
  /** Waiting for an earlier write to the same record took all the time; nothing of its own was sent. Failed. */
  | { kind: 'record_busy' }
  /**
   * Of a call of which nothing is recorded: time is up, and nobody goes on. What was sent may have been
   * written, and is safe to send again.
   */
  | { kind: 'given_up'; reason: string }
  /** The provider was never reached. Failed. */
  | { kind: 'unreachable'; reason: string }
