import { WritebackError } from '../kernel/errors.ts'
import type { CallAnswer, ProviderError } from '../model/outcome.ts'

/** Characters of the provider's own words that an error repeats. */
const MAX_WORDS = 1_000
/** Seconds after which a day's used-up calls are worth another look. */
const DAILY_SECONDS = 300

/** The provider's own words: its codes and messages, bounded. */
export const wordsOf = (errors: readonly ProviderError[]): string =>
  errors
    .map(({ code, message }) => `${code}: ${message.replace(/[.\s]+$/, '')}`)
    .join('; ')
    .slice(0, MAX_WORDS)

/** An error whose code is of the transport: the provider's time was up, or the process had to stop. */
export const isTimeout = ({ code }: ProviderError): boolean => code === 'TIMEOUT' || code === 'ABORTED'

/** What the caller of a read is told that brought nothing, and not for what it asked. */
export function readFailed(answer: Exclude<CallAnswer, { kind: 'answered' }>): WritebackError {
  if (answer.kind !== 'refused') return unanswered(answer.error)
  const words = wordsOf(answer.errors)
  if (answer.errorClass === 'auth')
    return new WritebackError(
      'INVALID_SESSION_ID',
      `The provider refused the session, and a new one: ${words}.`,
      {
        remedy: 'Check that the connected user may use the API; if it stays, connect the org again.',
      },
    )
  return new WritebackError('PROVIDER_UNREACHABLE', `The provider could not serve the call: ${words}.`, {
    remedy: 'Send the call again a little later.',
    ...(answer.throttle === 'daily' ? { retryAfter: DAILY_SECONDS } : {}),
  })
}

/** A call without a usable answer that did nothing. */
export const unanswered = (error: ProviderError): WritebackError =>
  isTimeout(error)
    ? new WritebackError('PROVIDER_TIMEOUT', `The provider did not answer in time: ${wordsOf([error])}.`, {
        remedy: 'Send the call again, with more time (Request-Timeout), or ask for less.',
      })
    : new WritebackError('PROVIDER_UNREACHABLE', `There is no usable answer: ${wordsOf([error])}.`, {
        remedy: 'Send the call again a little later.',
      })

/** The provider refused what was asked for; one issue says so where it was named. */
export const refusedInput = (path: string, errors: readonly ProviderError[]): WritebackError => {
  const words = wordsOf(errors)
  return new WritebackError('INVALID_REQUEST', `The provider refuses it: ${words}.`, {
    issues: [{ path, message: `is refused by the provider: ${words}` }],
    remedy: 'Correct the fields named in issues and send the request again.',
  })
}
