import { generateKeyPairSync } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/kernel/log.ts'
import type { Credentials, MintedSession } from '../../src/model/credentials.ts'
import type { CallAnswer, RecordAnswer } from '../../src/model/outcome.ts'
import type { Provider, ProviderGroup } from '../../src/providers/provider.ts'
import { createSalesforceProvider } from '../../src/providers/salesforce/index.ts'
import { demoApp, startSimulator } from '../../src/simulator/start.ts'

const limits = { timeoutMs: 20_000 }
const { publicKey, privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})
const user = 'integration@example.com'

let simulator: Awaited<ReturnType<typeof startSimulator>>
let provider: Provider
let session: MintedSession

const refreshToken = (loginUrl: string, token = 'demo-refresh-token'): Credentials => ({
  type: 'oauth2-refresh-token',
  clientId: 'writeback-demo',
  clientSecret: 'demo-secret',
  refreshToken: token,
  loginUrl,
})

beforeAll(async () => {
  simulator = await startSimulator({
    seed: 7,
    apps: [{ ...demoApp, publicKeyPem: publicKey, users: [user] }],
  })
  provider = createSalesforceProvider({ logger: silentLogger, allowInsecure: true })
})
beforeEach(async () => {
  simulator.org.reset()
  session = await provider.openSession(refreshToken(simulator.url), limits)
})
afterEach(() => simulator.org.faults.clear())
afterAll(async () => {
  await provider.close()
  await simulator.close()
})

async function send(part: Partial<ProviderGroup>, timeoutMs = limits.timeoutMs): Promise<CallAnswer> {
  const group: ProviderGroup = {
    objectName: 'Contact',
    type: 'create',
    externalIdField: null,
    allOrNone: false,
    headers: [],
    records: [],
    ...part,
  }
  const { answers, calls } = await provider.sendGroups(session, [group], { timeoutMs })
  expect([answers.length, calls]).toEqual([1, 1])
  return answers[0]!
}

const contact = (LastName: string | null, more: object = {}): string => JSON.stringify({ LastName, ...more })

function records(answer: CallAnswer): RecordAnswer[] {
  expect(answer.kind).toBe('answered')
  return answer.kind === 'answered' ? answer.records : []
}

const idOf = (answer: RecordAnswer | undefined): string =>
  answer?.ok === true && answer.recordId !== null ? answer.recordId : 'no id'

describe('sessions', () => {
  it('open with each kind of credentials, and each can write', async () => {
    const loginUrl = simulator.url
    const all: Credentials[] = [
      refreshToken(loginUrl),
      {
        type: 'oauth2-client-credentials',
        clientId: 'writeback-demo',
        clientSecret: 'demo-secret',
        loginUrl,
      },
      { type: 'oauth2-jwt-bearer', clientId: 'writeback-demo', username: user, privateKey, loginUrl },
      { type: 'access-token', accessToken: session.accessToken, instanceUrl: loginUrl },
    ]
    for (const credentials of all) {
      session = await provider.openSession(credentials, limits)
      expect(records(await send({ records: [contact(credentials.type)] }))).toMatchObject([{ ok: true }])
    }
    expect(simulator.org.count('Contact')).toBe(4)
  })

  it('hand over a rotated refresh token, which then works', async () => {
    simulator.org.settings.rotateRefreshTokens = true
    const first = await provider.openSession(refreshToken(simulator.url), limits)
    expect(first.orgId).toBe(simulator.org.id)
    expect(first.rotatedRefreshToken).toEqual(expect.any(String))
    const second = await provider.openSession(refreshToken(simulator.url, first.rotatedRefreshToken), limits)
    expect(second.rotatedRefreshToken).not.toBe(first.rotatedRefreshToken)
    await expect(provider.openSession(refreshToken(simulator.url), limits)).rejects.toMatchObject({
      kind: 'permanent',
      code: 'invalid_grant',
    })
  })

  it('that expired show as auth, with nothing written and nothing repeated', async () => {
    simulator.org.sessions.expireAll()
    expect(await send({ records: [contact('Late')] })).toMatchObject({
      kind: 'refused',
      status: 401,
      errorClass: 'auth',
    })
    expect(simulator.org.count('Contact')).toBe(0)
    expect(simulator.org.sessions.minted).toBe(1)
  })
})

describe('writes', () => {
  it('200 creates come back with the ids of their own records', async () => {
    const names = Array.from({ length: 200 }, (_, index) => `Name "${index}" Itō`)
    const answer = await send({ records: names.map((name) => contact(name)) })
    const ids = records(answer).map(idOf)
    expect(new Set(ids).size).toBe(200)
    expect(ids.map((id) => simulator.org.record(id)?.LastName)).toEqual(names)
    expect(answer).toMatchObject({ status: 200, usage: { used: 1, limit: 5_000_000 } })
  })

  it('good and bad records each have their own outcome', async () => {
    const answers = records(
      await send({ records: [contact('Good'), contact(null), contact('x'.repeat(81)), contact('Fine')] }),
    )
    expect(answers).toMatchObject([
      { ok: true, created: true },
      {
        ok: false,
        errorClass: 'permanent',
        errors: [{ code: 'REQUIRED_FIELD_MISSING', fields: ['LastName'] }],
      },
      { ok: false, errorClass: 'permanent', errors: [{ code: 'STRING_TOO_LONG' }] },
      { ok: true, created: true },
    ])
    expect(simulator.org.count('Contact')).toBe(2)
  })

  it('updates change what they name', async () => {
    const id = simulator.org.create('Contact', { LastName: 'Before', FirstName: 'Kept' })
    const answers = records(
      await send({
        type: 'update',
        records: [JSON.stringify({ id, LastName: 'After' }), JSON.stringify({ id: '003000000000000AAA' })],
      }),
    )
    expect(answers).toMatchObject([
      { ok: true, recordId: id },
      { ok: false, errorClass: 'permanent' },
    ])
    expect(simulator.org.record(id)).toMatchObject({ LastName: 'After', FirstName: 'Kept' })
  })

  it('upserts say whether they created, whatever is in the key', async () => {
    const existing = simulator.org.create('Contact', { LastName: 'Old', External_Id__c: 'a/b ?#%' })
    const group = { type: 'upsert', externalIdField: 'External_Id__c' } as const
    const answers = records(
      await send({
        ...group,
        records: [contact('New', { External_Id__c: 'a/b ?#%' }), contact('Other', { External_Id__c: 'k2' })],
      }),
    )
    expect(answers).toMatchObject([
      { ok: true, recordId: existing, created: false },
      { ok: true, created: true },
    ])
    expect(simulator.org.record(existing)).toMatchObject({ LastName: 'New' })
  })

  it('allOrNone undoes the group and tells the offender from the innocent', async () => {
    const answer = await send({ allOrNone: true, records: [contact('A'), contact(null), contact('C')] })
    expect(records(answer)).toMatchObject([
      { ok: false, errorClass: 'again' },
      { ok: false, errorClass: 'permanent' },
      { ok: false, errorClass: 'again' },
    ])
    expect(simulator.org.count('Contact')).toBe(0)
  })

  it('an object that the org does not have is refused, with nothing written', async () => {
    const answer = await send({ objectName: 'Nothing__c', records: ['{"Name":"x"}'] })
    const verdict = answer.kind === 'answered' ? answer.records[0] : answer
    expect(verdict).toMatchObject({ errorClass: 'permanent', errors: [{ code: 'INVALID_TYPE' }] })
  })
})

describe('faults', () => {
  const one = { records: [contact('One')] }
  const atCollections = { operation: 'collections' }

  it('dropped before it was executed, or after: lost either way, and sent once', async () => {
    for (const type of ['dropBefore', 'dropAfter'] as const) {
      simulator.org.faults.add({ match: atCollections, action: { type } })
      expect(await send(one)).toMatchObject({ kind: 'lost', status: null })
    }
    expect(simulator.org.count('Contact')).toBe(1)
  })

  it('an answer cut off midway is lost', async () => {
    simulator.org.faults.add({ match: atCollections, action: { type: 'cutAnswer' } })
    expect(await send({ records: Array.from({ length: 20 }, () => contact('Cut')) })).toMatchObject({
      kind: 'lost',
    })
    expect(simulator.org.count('Contact')).toBe(20)
    // Neither the process nor the provider is the worse for it.
    expect(records(await send(one))).toMatchObject([{ ok: true }])
  })

  it('silence is lost when time is up', async () => {
    simulator.org.faults.add({ match: atCollections, action: { type: 'hang' } })
    expect(await send(one, 200)).toMatchObject({ kind: 'lost', error: { code: 'TIMEOUT' } })
  })

  it('a redirect is never success', async () => {
    simulator.org.faults.add({
      match: atCollections,
      action: { type: 'redirect', location: 'https://elsewhere.my.salesforce.com/' },
    })
    expect(await send(one)).toMatchObject({
      kind: 'refused',
      errorClass: 'auth',
      errors: [{ code: 'UNEXPECTED_REDIRECT' }],
    })
    expect(simulator.org.count('Contact')).toBe(0)
  })

  it('a page under 200 and an answer of another shape are lost', async () => {
    simulator.org.faults.add({ match: atCollections, action: { type: 'html200' } })
    expect(await send(one)).toMatchObject({ kind: 'lost', status: 200, error: { code: 'UNEXPECTED_HTML' } })
    simulator.org.faults.add({ match: atCollections, action: { type: 'wrongShape' } })
    expect(await send(one)).toMatchObject({ kind: 'lost', status: 200, error: { code: 'UNREADABLE_ANSWER' } })
  })

  it('a forgotten record leaves its group in doubt, wherever it was', async () => {
    for (const action of [{ type: 'forgetRecord' }, { type: 'forgetRecord', index: 0 }] as const) {
      simulator.org.faults.add({ match: atCollections, action })
      const answers = records(await send({ records: [contact('A'), contact('B'), contact('C')] }))
      expect(answers).toHaveLength(3)
      for (const answer of answers) {
        expect(answer).toMatchObject({ errorClass: 'ambiguous', errors: [{ code: 'NO_ANSWER_FOR_RECORD' }] })
      }
    }
  })

  it.each([
    ['totalRequests', { kind: 'refused', status: 403, errorClass: 'throttled', throttle: 'daily' }],
    ['concurrentRequests', { kind: 'refused', status: 403, errorClass: 'throttled', throttle: 'concurrent' }],
    [
      'concurrentLongTxn',
      { kind: 'refused', status: 403, errorClass: 'throttled', throttle: 'long_running' },
    ],
    ['serverUnavailable', { kind: 'refused', status: 503, errorClass: 'transient' }],
    ['apiDisabled', { kind: 'refused', status: 403, errorClass: 'auth' }],
    ['sessionNotForRest', { kind: 'refused', status: 401, errorClass: 'auth' }],
    ['noRoute', { kind: 'refused', status: 420, errorClass: 'transient' }],
    ['unknownException', { kind: 'lost', status: 500, error: { code: 'UNKNOWN_EXCEPTION' } }],
    ['emptyServerError', { kind: 'lost', status: 500 }],
    ['unavailableHtml', { kind: 'lost', status: 503 }],
    ['badGatewayHtml', { kind: 'lost', status: 502 }],
  ] as const)('the answer "%s" has its class', async (canned, expected) => {
    simulator.org.faults.add({ match: atCollections, action: { type: 'status', canned } })
    expect(await send(one)).toMatchObject(expected)
    expect(simulator.org.count('Contact')).toBe(0)
  })

  it('items under HTTP 400 are read as items', async () => {
    for (const failing of [[contact(null)], [contact(null), contact(null)]]) {
      simulator.org.faults.add({ match: atCollections, action: { type: 'allFailed400' } })
      const answer = await send({ records: failing })
      expect(answer).toMatchObject({ kind: 'answered', status: 400 })
      for (const item of records(answer))
        expect(item).toMatchObject({ errors: [{ code: 'REQUIRED_FIELD_MISSING' }] })
    }
  })

  it('a row lock of one record leaves the others alone', async () => {
    const message = 'unable to obtain exclusive access to this record'
    simulator.org.faults.add({
      match: { recordMatches: { field: 'LastName', value: 'Locked' } },
      action: { type: 'recordError', statusCode: 'UNABLE_TO_LOCK_ROW', message },
    })
    expect(records(await send({ records: [contact('A'), contact('Locked'), contact('C')] }))).toMatchObject([
      { ok: true },
      {
        ok: false,
        errorClass: 'transient',
        cause: 'lock',
        errors: [{ code: 'UNABLE_TO_LOCK_ROW', message }],
      },
      { ok: true },
    ])
  })

  it('a token endpoint that refuses says so, and one that is silent is ambiguous', async () => {
    simulator.org.faults.add({ action: { type: 'invalidGrant' } })
    await expect(provider.openSession(refreshToken(simulator.url), limits)).rejects.toMatchObject({
      kind: 'permanent',
      code: 'invalid_grant',
    })
    simulator.org.faults.add({ match: { operation: 'token' }, action: { type: 'dropAfter' } })
    await expect(provider.openSession(refreshToken(simulator.url), limits)).rejects.toMatchObject({
      kind: 'ambiguous',
    })
  })
})
