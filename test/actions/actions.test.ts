import { describe, expect, it } from 'vitest'
import { createActions, type CustomCall } from '../../src/actions/actions.ts'
import { readEndpoint } from '../../src/actions/endpoint.ts'
import type { MadeCall, ReadingSession, ReadTarget } from '../../src/actions/sessions.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { isWritebackError, WritebackError } from '../../src/kernel/errors.ts'
import type { CallAnswer } from '../../src/model/outcome.ts'
import type {
  Passed,
  ProviderRead,
  QueryPage,
  ReadingProvider,
} from '../../src/providers/reading-provider.ts'

const target: ReadTarget = { id: 'installation', objects: null }
const page = {
  kind: 'read',
  value: { json: '{}', records: [], nextRecordsUrl: null },
  usage: { used: 5, limit: 10 },
} satisfies ProviderRead<QueryPage>
const refusedSession: Extract<CallAnswer, { kind: 'refused' }> = {
  kind: 'refused',
  status: 401,
  errors: [{ code: 'INVALID_SESSION_ID', message: 'Session expired or invalid', fields: [] }],
  errorClass: 'auth',
  usage: null,
}

interface Part {
  query?: (token: string, timeoutMs: number, signal?: AbortSignal) => Promise<ProviderRead<QueryPage>>
  request?: (token: string) => Promise<Passed>
  open?: () => Promise<void>
  refresh?: () => Promise<void>
  note?: () => Promise<void>
}

/** Actions whose sessions and answers the test makes up. */
function actionsWith(part: Part) {
  const notes: MadeCall[] = []
  const worked: number[] = []
  const provider: ReadingProvider = {
    query: async (session, _, { timeoutMs, signal }) => ({
      answer: (await part.query?.(session.accessToken, timeoutMs, signal)) ?? page,
      calls: 1,
    }),
    request: async (session) => ({ answer: (await part.request?.(session.accessToken))!, calls: 1 }),
    describeGlobal: () => Promise.resolve({ answer: { kind: 'read', value: [], usage: null }, calls: 1 }),
    describeObject: () => Promise.resolve({ answer: { kind: 'read', value: [], usage: null }, calls: 1 }),
  }
  const session = (version: number): ReadingSession => ({
    provider,
    session: { accessToken: `token ${version}`, instanceUrl: 'https://acme.my.salesforce.com', orgId: '00D' },
    version,
    worked: () => worked.push(version),
  })
  const actions = createActions({
    sessions: {
      open: async () => {
        await part.open?.()
        return session(1)
      },
      refresh: async (_, stale) => {
        await part.refresh?.()
        return session(stale + 1)
      },
    },
    note: async (call) => {
      notes.push(call)
      await part.note?.()
    },
    clock: systemClock,
    callTimeoutMs: 60_000,
  })
  return { actions, notes, worked }
}

const soql = { soql: 'SELECT Id FROM Contact' }
const never = (): Promise<never> => new Promise(() => undefined)

async function errorOf(promise: Promise<unknown>): Promise<WritebackError> {
  const error: unknown = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  if (!isWritebackError(error)) throw new Error(`not refused: ${String(error)}`)
  return error
}

describe('a read', () => {
  it('tells that its session works, and what it read of the org’s limits', async () => {
    const { actions, notes, worked } = actionsWith({})
    expect(await actions.query(target, soql, 5_000)).toBe(page.value)
    expect(worked).toEqual([1])
    expect(notes).toEqual([
      {
        installationId: 'installation',
        org: '00D',
        answer: { kind: 'answered', status: 200, records: [], usage: { used: 5, limit: 10 } },
        callMs: expect.any(Number) as number,
      },
    ])
  })

  it('goes again with a new session once, and never with a third', async () => {
    const tokens: string[] = []
    const { actions, worked } = actionsWith({
      query: (token) => {
        tokens.push(token)
        return Promise.resolve(refusedSession)
      },
    })
    const error = await errorOf(actions.query(target, soql, 5_000))
    expect([error.code, tokens, worked]).toEqual(['INVALID_SESSION_ID', ['token 1', 'token 2'], []])
  })

  it('ends with what refuses another session', async () => {
    const { actions } = actionsWith({
      query: () => Promise.resolve(refusedSession),
      refresh: () => Promise.reject(new WritebackError('NO_WORKING_CONNECTION', 'It is broken.')),
    })
    expect((await errorOf(actions.query(target, soql, 5_000))).code).toBe('NO_WORKING_CONNECTION')
  })

  it('takes no longer than its time, wherever it hangs', async () => {
    const hanging = [
      { open: () => never() },
      { query: () => Promise.resolve(refusedSession), refresh: () => never() },
    ]
    for (const part of hanging) {
      const { actions } = actionsWith(part)
      expect((await errorOf(actions.query(target, soql, 50))).code).toBe('PROVIDER_TIMEOUT')
    }
    const limits: number[] = []
    const { actions } = actionsWith({
      query: (_, timeoutMs) => {
        limits.push(timeoutMs)
        return Promise.resolve(page)
      },
    })
    await actions.query(target, soql, 5_000)
    await actions.query(target, soql, 500_000)
    expect(limits[0]).toBeGreaterThan(4_000)
    expect(limits[0]).toBeLessThanOrEqual(5_000)
    expect(limits[1]).toBe(60_000)
  })

  it('has its answer though what it read of the limits cannot be kept', async () => {
    const { actions } = actionsWith({ note: () => never() })
    await expect(actions.query(target, soql, 5_000)).resolves.toBeDefined()
  })

  it('is cut off when the process has to stop', async () => {
    const begun = Promise.withResolvers<undefined>()
    const { actions } = actionsWith({
      query: (_token, _ms, signal) => {
        begun.resolve(undefined)
        return new Promise((resolve) => {
          signal?.addEventListener('abort', () =>
            resolve({ kind: 'not_sent', error: { code: 'ABORTED', message: 'aborted', fields: [] } }),
          )
        })
      },
    })
    const cut = errorOf(actions.query(target, soql, 60_000))
    await begun.promise
    actions.cut()
    expect((await cut).code).toBe('PROVIDER_TIMEOUT')
  })

  it.each([
    ['permanent', 'INVALID_REQUEST'],
    ['transient', 'PROVIDER_UNREACHABLE'],
    ['throttled', 'PROVIDER_UNREACHABLE'],
  ] as const)('that the provider refuses as %s is %s', async (errorClass, code) => {
    const errors = [{ code: 'SOME_CODE', message: 'in its words.', fields: [] }]
    const answer = { ...refusedSession, status: 400, errors, errorClass, throttle: 'daily' as const }
    const { actions } = actionsWith({ query: () => Promise.resolve(answer) })
    const error = await errorOf(actions.query(target, soql, 5_000))
    expect(error.code).toBe(code)
    expect(error.message).toContain('SOME_CODE: in its words')
    if (errorClass === 'throttled') expect(error.retryAfter).toBe(300)
  })
})

describe('a call that is passed on', () => {
  const endpoint = readEndpoint('/sobjects/Account')
  const call = (part: Partial<CustomCall> = {}): CustomCall => {
    if (typeof endpoint === 'string') throw new Error(endpoint)
    return { method: 'POST', endpoint, headers: [], body: '{}', effects: [], ...part }
  }
  const passed = (status: number, code: string): Passed => ({
    kind: 'passed',
    status,
    headers: {},
    body: 'x',
    said: { ...refusedSession, status, errors: [{ code, message: 'm', fields: [] }] },
  })

  it('is made again only when the platform itself refused its session', async () => {
    let made = 0
    const answers = (answer: Passed) =>
      actionsWith({
        request: () => {
          made += 1
          return Promise.resolve(answer)
        },
      }).actions
    // A REST class of the org may have written before it answered so.
    await expect(answers(passed(401, 'UNKNOWN_ERROR')).call(target, call(), 5_000)).resolves.toMatchObject({
      status: 401,
    })
    expect(made).toBe(1)
    const twice = await errorOf(answers(passed(401, 'INVALID_SESSION_ID')).call(target, call(), 5_000))
    expect([twice.code, made]).toEqual(['INVALID_SESSION_ID', 3])
    await expect(
      answers(passed(403, 'API_DISABLED_FOR_ORG')).call(target, call(), 5_000),
    ).resolves.toMatchObject({
      status: 403,
    })
    expect(made).toBe(4)
  })

  it('goes to the instance of the session, not to that of its URL', async () => {
    const { actions } = actionsWith({ request: () => Promise.reject(new Error('it was sent')) })
    const elsewhere = readEndpoint('https://other.my.salesforce.com/services/data/v67.0/limits')
    if (typeof elsewhere === 'string') throw new Error(elsewhere)
    const error = await errorOf(actions.call(target, call({ method: 'GET', endpoint: elsewhere }), 5_000))
    expect(error.issues).toEqual([
      { path: '/endpoint', message: "must be of the connection's own instance, or a path" },
    ])
  })
})
