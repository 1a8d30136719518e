import { PassThrough } from 'node:stream'
import { Transport } from 'jsforce/lib/transport.js'
import { StreamPromise } from 'jsforce/lib/util/promise.js'
import type {
  HttpRequest as JsforceRequest,
  HttpResponse as JsforceResponse,
} from 'jsforce/lib/types/common.js'
import type { HttpAnswer, HttpClient, HttpLimits, HttpOutcome, HttpRequest } from './http.ts'
import { removeSecrets } from './remove-secrets.ts'

/** Any 3xx but 300 (several matches) and 304 (not modified): an answer that sends us elsewhere. */
export const isRedirect = (status: number): boolean =>
  status >= 300 && status < 400 && status !== 300 && status !== 304

const nothingCame: HttpOutcome = {
  kind: 'failure',
  sent: false,
  status: null,
  code: 'NOT_STARTED',
  message: 'The client library ended the call before it was sent.',
}

/** The fields of a token request that are secret. */
const secretFields = ['client_secret', 'refresh_token', 'assertion', 'code', 'code_verifier']

/** The session's token in a request; of a Salesforce one what follows the org's id, which is none. */
function tokenOf({ headers }: HttpRequest): string | null {
  const header = Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization')?.[1]
  return header?.replace(/^\S+ /, '').replace(/^00D[^!]*!/, '') ?? null
}

function secretsOf(request: HttpRequest): string[] {
  const token = tokenOf(request)
  if (token !== null) return [token]
  const form = new URLSearchParams(request.body ?? '')
  return secretFields.flatMap((name) => form.get(name) ?? [])
}

/**
 * An answer without the session's token: errors are kept and shown. Parts and other spellings of it are
 * looked for in refusals only, where a look at each character costs nothing.
 */
function withoutToken(answer: HttpAnswer, token: string): HttpAnswer {
  if (answer.status < 400 && !answer.body.includes(token)) return answer
  return { ...answer, body: removeSecrets(answer.body, [token]) }
}

/**
 * jsforce's way out for one call. jsforce's own transport kills the process on an answer that is cut off
 * and takes a redirect for success (facts 1.5); this one reads the whole answer within the call's limits,
 * turns a redirect into an error, settles once, and keeps the outcome with status and headers, which
 * jsforce hides from its callers (facts 13.2).
 */
export class CallTransport extends Transport {
  /** How the call ended; `NOT_STARTED` while jsforce has sent nothing. */
  outcome: HttpOutcome = nothingCame
  /** What was sent and must be in no message. */
  secrets: readonly string[] = []
  readonly #http: HttpClient
  readonly #limits: HttpLimits

  constructor(http: HttpClient, limits: HttpLimits) {
    super()
    this.#http = http
    this.#limits = limits
  }

  override httpRequest(request: JsforceRequest): StreamPromise<JsforceResponse> {
    // jsforce pipes a stream beside the promise; nothing reads it here.
    return StreamPromise.create(() => ({ stream: new PassThrough(), promise: this.#exchange(request) }))
  }

  async #exchange(request: JsforceRequest): Promise<JsforceResponse> {
    const { method, url, headers, body } = request
    if (body !== undefined && body !== null && typeof body !== 'string') {
      throw new TypeError('Only text bodies are sent.')
    }
    const sent = { method, url, headers: headers ?? {}, body: body ?? null }
    this.secrets = secretsOf(sent)
    const outcome = await this.#http.send(sent, this.#limits)
    const token = tokenOf(sent)
    this.outcome = outcome.kind === 'answer' && token !== null ? withoutToken(outcome, token) : outcome
    if (this.outcome.kind === 'failure') throw new Error(this.outcome.code)
    if (isRedirect(this.outcome.status)) throw new Error('UNEXPECTED_REDIRECT')
    return {
      statusCode: this.outcome.status,
      headers: this.outcome.headers,
      body: this.outcome.body,
    }
  }
}
