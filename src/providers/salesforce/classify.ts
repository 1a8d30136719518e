import type { ErrorClass, FailureCause, ProviderError } from '../../model/outcome.ts'
import type { ProviderGroup } from '../provider.ts'
import { errorTable, LIMIT_TEXT_RETRIES, type ErrorRow } from './error-table.ts'

/** A class, how often such a failure may be sent again where that is bounded, and its cause where known. */
export interface Verdict {
  errorClass: ErrorClass
  maxRetries?: number
  cause?: FailureCause
}

type GroupType = ProviderGroup['type']

const lockText = /UNABLE_TO_LOCK_ROW|unable to obtain exclusive access|deadlock/i
const limitText =
  /CPU time limit exceeded|heap size too large|System\.LimitException|Too many (SOQL|SOSL|DML|query|callouts|queueable|future)/i
/** The platform gave up re-running the innocent records of a chunk (facts 3): in company they may never pass. */
const retriesText = /Too many batch retries/i

function verdict(
  errorClass: ErrorClass,
  maxRetries: number | null | undefined,
  cause: FailureCause | undefined,
): Verdict {
  return {
    errorClass,
    ...(maxRetries === null || maxRetries === undefined ? {} : { maxRetries }),
    ...(cause === undefined ? {} : { cause }),
  }
}

/** What the text says where the code alone does not; `null` where the code decides. */
function verdictOfText(row: ErrorRow | undefined, error: ProviderError): Verdict | null {
  if (retriesText.test(error.message)) return verdict('transient', LIMIT_TEXT_RETRIES, 'apex_limit')
  if (row?.textHides === undefined) return null
  const { lockRetries } = row.textHides
  if (lockText.test(error.message)) return verdict('transient', lockRetries, 'lock')
  if (limitText.test(error.message)) {
    return verdict('transient', lockRetries ?? LIMIT_TEXT_RETRIES, 'apex_limit')
  }
  return null
}

function verdictOf(error: ProviderError, place: 'item' | 'request', type: GroupType): Verdict | null {
  const row = errorTable.get(error.code)
  const byText = verdictOfText(row, error)
  if (byText !== null) return byText
  if (row === undefined) return null
  // Of two upserts racing with one new key the loser sees the winner's record; sent again it updates it (facts 3.2).
  if (error.code === 'DUPLICATE_VALUE' && type === 'upsert') return verdict('transient', 1, undefined)
  return verdict(row[place], row.maxRetries, row.cause)
}

/**
 * The verdict that outranks the others; the retries allowed are the fewest among those of its class, and
 * the cause is the first that one of them has.
 */
function strongest(verdicts: Verdict[], ranking: readonly ErrorClass[]): Verdict {
  const errorClass = ranking.find((one) => verdicts.some((other) => other.errorClass === one)) ?? 'ambiguous'
  const deciding = verdicts.filter((one) => one.errorClass === errorClass)
  const bounds = deciding.flatMap(({ maxRetries }) => (maxRetries === undefined ? [] : [maxRetries]))
  const cause = deciding.find((one) => one.cause !== undefined)?.cause
  return verdict(errorClass, bounds.length === 0 ? undefined : Math.min(...bounds), cause)
}

// One permanent error sinks its record whatever else was wrong with it.
const itemRanking: readonly ErrorClass[] = [
  'ambiguous',
  'permanent',
  'auth',
  'throttled',
  'transient',
  'again',
]
// A session or a limit that refused the request is the sure word that nothing ran.
const requestRanking: readonly ErrorClass[] = [
  'auth',
  'throttled',
  'ambiguous',
  'permanent',
  'transient',
  'again',
]

/**
 * Classes the errors of one failed item of a per-record answer (facts 7, place R). A code that is not
 * listed is permanent, and so is a failure without any error.
 */
export function classifyRecordErrors(errors: readonly ProviderError[], type: GroupType): Verdict {
  if (errors.length === 0) return { errorClass: 'permanent' }
  return strongest(
    errors.map((error) => verdictOf(error, 'item', type) ?? { errorClass: 'permanent' }),
    itemRanking,
  )
}

/** The class of a refused request by its HTTP status alone, for codes that are not listed. */
export function classifyStatus(status: number): ErrorClass {
  if (status === 401) return 'auth'
  if (status === 429) return 'throttled'
  // The edge found no route to the org, so the org never saw the request (facts 2).
  if (status === 420) return 'transient'
  // A gateway gave up waiting, for whatever stands behind it.
  if (status === 408) return 'ambiguous'
  return status >= 400 && status < 500 ? 'permanent' : 'ambiguous'
}

/**
 * Classes the errors of a request that failed as a whole (facts 7, place T): by code, and for a code that
 * is not listed by HTTP status. `ambiguous` means that something may have been written.
 */
export function classifyRequestErrors(
  status: number,
  errors: readonly ProviderError[],
  type: GroupType,
): Verdict {
  if (errors.length === 0) return { errorClass: classifyStatus(status) }
  return strongest(
    errors.map((error) => verdictOf(error, 'request', type) ?? { errorClass: classifyStatus(status) }),
    requestRanking,
  )
}
