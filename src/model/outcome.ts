/** One error of the provider, as it is recorded and shown: its own code, message and fields. */
export interface ProviderError {
  code: string
  message: string
  fields: string[]
}

/**
 * The classes of the provider's errors (facts, section 7).
 * - `permanent`: sending it again cannot succeed.
 * - `transient`: not written; can succeed later.
 * - `again`: not written, and not this record's fault; send again.
 * - `throttled`: a limit of the org; nothing was written.
 * - `auth`: the session; nothing was written.
 * - `ambiguous`: it may have been written.
 */
export type ErrorClass = 'permanent' | 'transient' | 'again' | 'throttled' | 'auth' | 'ambiguous'

/**
 * What lies behind a failure that can pass, where that is known: another save held the record or its
 * parent (`lock`: send less at once), or the records of one call were too much for the org's own code
 * together (`apex_limit`: send them in smaller groups; facts 3 and 8).
 */
export type FailureCause = 'lock' | 'apex_limit'

/**
 * What the provider said of one record, before anything is decided. A failed one carries the class that
 * the provider gave its errors; a record that the provider forgot is failed with class `ambiguous`.
 * `maxRetries`, where set, bounds how often this failure may be sent again; unset leaves it to the deadline.
 * `raw` is the provider's own word, as a synchronous call hands it on.
 */
export type RecordAnswer =
  | { ok: true; recordId: string | null; created: boolean | null; raw?: unknown }
  | {
      ok: false
      errors: ProviderError[]
      errorClass: ErrorClass
      maxRetries?: number
      cause?: FailureCause
      raw?: unknown
    }

/**
 * Which limit of the org was hit (facts 6): the calls of 24 hours (wait minutes to hours), calls of 20 s
 * and longer running at once, or long transactions running at once (both: wait seconds, send less at once).
 */
export type ThrottleKind = 'daily' | 'concurrent' | 'long_running'

/** API usage as the provider last said it: calls used of the calls allowed in 24 hours. */
export interface ApiUsage {
  used: number
  limit: number
}

/**
 * What came of one call that carried a group. `answered` holds one answer per record, by position;
 * the other kinds hold for every record of the call.
 */
export type CallAnswer =
  | { kind: 'answered'; status: number; records: RecordAnswer[]; usage: ApiUsage | null }
  /**
   * The request was refused as a whole: nothing was written, so `errorClass` is never `ambiguous`. The
   * status is 0 when the provider itself refused to send it. `throttle` comes with class `throttled` when
   * the limit is known; `maxRetries`, `cause` and `raw` as in {@link RecordAnswer}.
   */
  | {
      kind: 'refused'
      status: number
      errors: ProviderError[]
      errorClass: ErrorClass
      usage: ApiUsage | null
      throttle?: ThrottleKind
      maxRetries?: number
      cause?: FailureCause
      raw?: unknown
      /** One record may be at fault for the whole request: the others can pass without it. */
      oneRecord?: true
    }
  /** The request never left this process or never reached the provider: nothing was written. */
  | { kind: 'not_sent'; error: ProviderError }
  /** The request left and no usable answer came: it may have been written. */
  | { kind: 'lost'; status: number | null; error: ProviderError }

/** Whether an answer says that its session is no good: nothing was done by the call. */
export const isSessionRefused = (answer: CallAnswer | undefined): boolean =>
  answer?.kind === 'refused' && answer.errorClass === 'auth'

/** Whether the org itself said something, and it was not about the session. */
export const tookSession = (answer: CallAnswer): boolean =>
  answer.kind === 'answered' ||
  (answer.kind === 'refused' && answer.status > 0 && answer.errorClass !== 'auth')
