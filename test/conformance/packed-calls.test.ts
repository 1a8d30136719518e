import { describe, expect, it } from 'vitest'
import type { ProviderGroup, SentCall } from '../../src/providers/provider.ts'
import { group, limits, recordsOf, simulatedOrg } from './simulated-org.ts'

const at = simulatedOrg()

const send = (groups: ProviderGroup[], options = limits): Promise<SentCall> =>
  at.provider.sendGroups(at.session, groups, options)

const named = (LastName: string): ProviderGroup => group({ records: [JSON.stringify({ LastName })] })
const bad = '{"Title":"without a name"}'
const kinds = ({ answers }: SentCall): string[] => answers.map((answer) => answer.kind)

describe('several groups', () => {
  it('travel in one call, each with the answers to its own records', async () => {
    const update = at.org.create('Contact', { LastName: 'Before' })
    const gone = at.org.create('Lead', { LastName: 'Gone', Company: 'x' })
    const sent = await send([
      group({ records: ['{"LastName":"A","Score__c":1.50}', bad] }),
      group({ type: 'update', records: [JSON.stringify({ id: update, LastName: 'After' })] }),
      group({
        objectName: 'Account',
        type: 'upsert',
        externalIdField: 'External_Id__c',
        records: ['{"External_Id__c":"k","Name":"Acme"}'],
      }),
      group({ objectName: 'Lead', type: 'delete', records: [JSON.stringify({ id: gone })] }),
      group({ objectName: 'Nothing__c', records: ['{"Name":"x"}'] }),
    ])
    expect(sent.calls).toBe(1)
    expect(sent.answers.map(recordsOf)).toMatchObject([
      [
        { ok: true, created: true },
        { ok: false, errors: [{ code: 'REQUIRED_FIELD_MISSING' }] },
      ],
      [{ ok: true, recordId: update }],
      [{ ok: true, created: true, raw: { success: true, created: true } }],
      [{ ok: true, recordId: gone }],
      [],
    ])
    expect(sent.answers[0]).toMatchObject({ usage: { used: 1, limit: 5_000_000 } })
    expect(sent.answers[4]).toMatchObject({
      kind: 'refused',
      errorClass: 'permanent',
      usage: { used: 1, limit: 5_000_000 },
    })
    expect(at.org.counts()).toMatchObject({ Contact: 2, Account: 1, Lead: 0 })
    expect(at.requests()).toMatchObject([{ operation: 'composite', apiCalls: 1, recordCount: 6 }])
    expect(at.org.record(update)).toMatchObject({ LastName: 'After' })
  })

  it('keep their own allOrNone and their own headers', async () => {
    const header = { key: 'Sforce-Mru', value: 'updateMru=false' }
    const records = ['{"LastName":"A"}', bad]
    const sent = await send([
      group({ allOrNone: true, records }),
      group({ allOrNone: false, headers: [header], records }),
    ])
    expect(sent.answers.map((answer) => recordsOf(answer).map((one) => one.ok))).toEqual([
      [false, false],
      [true, false],
    ])
    expect(recordsOf(sent.answers[0])[0]).toMatchObject({ errorClass: 'again' })
    expect(at.org.count('Contact')).toBe(1)
    expect(at.requests()).toMatchObject([
      { headers: {}, parts: [{ headers: {} }, { headers: { 'sforce-mru': 'updateMru=false' } }] },
    ])
  })

  it('of which one alone goes as a plain collections call', async () => {
    expect((await send([named('A')])).calls).toBe(1)
    expect(at.requests()).toMatchObject([{ operation: 'collections.create' }])
  })

  it('keep apart the group whose records look like references to others', async () => {
    const text = 'write to me @{g0.body} or \\u0040\\u007bg0.id}'
    const odd = group({ records: [`{"LastName":"Odd","Notes__c":"${text}"}`] })
    const sent = await send([named('A'), odd, named('B'), named('C')])
    expect(kinds(sent)).toEqual(['answered', 'answered', 'answered', 'answered'])
    expect(sent.calls).toBe(3)
    const id = at.org.find('Contact', 'LastName', 'Odd')[0]
    expect(id).toMatchObject({ Notes__c: 'write to me @{g0.body} or @{g0.id}' })
  })

  it('lose nothing to the one that cannot be made into a call', async () => {
    const sent = await send([named('A'), group({ records: [] }), named('B')])
    expect(sent).toMatchObject({
      calls: 1,
      answers: [
        { kind: 'answered' },
        { kind: 'refused', status: 0, errors: [{ code: 'INVALID_GROUP' }] },
        { kind: 'answered' },
      ],
    })
  })
})

describe('a packed call that fails as a whole', () => {
  const atComposite = { operation: 'composite' }
  const two = (): ProviderGroup[] => [named('A'), named('B')]

  it.each([
    ['dropBefore', { type: 'dropBefore' }, 0],
    ['dropAfter', { type: 'dropAfter' }, 2],
    ['cutAnswer', { type: 'cutAnswer' }, 2],
    ['502 after the org committed', { type: 'status', canned: 'badGatewayHtml', when: 'after' }, 2],
    ['500 without a body', { type: 'status', canned: 'emptyServerError', when: 'after' }, 2],
    ['an unknown exception', { type: 'status', canned: 'unknownException', when: 'after' }, 2],
    [
      'a server error with a code that is permanent for a record',
      { type: 'status', status: 500, body: [{ errorCode: 'APEX_ERROR', message: 'x' }], when: 'after' },
      2,
    ],
    ['a page under 200', { type: 'html200' }, 0],
    ['another shape', { type: 'wrongShape' }, 2],
  ] as const)('%s: lost for every group, and nothing is sent again', async (_, action, written) => {
    at.org.faults.add({ match: atComposite, action })
    const sent = await send(two())
    expect([kinds(sent), sent.calls]).toEqual([['lost', 'lost'], 1])
    expect(at.requests()).toHaveLength(1)
    expect(at.org.count('Contact')).toBe(written)
  })

  it.each([
    ['invalidSession', { errorClass: 'auth', status: 401 }],
    ['totalRequests', { errorClass: 'throttled', throttle: 'daily' }],
    ['concurrentLongTxn', { errorClass: 'throttled', throttle: 'long_running' }],
    ['serverUnavailable', { errorClass: 'transient', status: 503 }],
    ['apiDisabled', { errorClass: 'auth', status: 403 }],
  ] as const)('%s: refused for every group, in one call', async (canned, expected) => {
    at.org.faults.add({ match: atComposite, action: { type: 'status', canned } })
    const sent = await send(two())
    expect(sent).toMatchObject({ calls: 1, answers: [expected, expected] })
    expect([kinds(sent), at.requests().length]).toEqual([['refused', 'refused'], 1])
  })

  it('silence is lost when time is up', async () => {
    at.org.faults.add({ match: atComposite, action: { type: 'hang' } })
    expect(await send(two(), { timeoutMs: 200 })).toMatchObject({
      calls: 1,
      answers: [
        { kind: 'lost', error: { code: 'TIMEOUT' } },
        { kind: 'lost', error: { code: 'TIMEOUT' } },
      ],
    })
  })

  it('a subresponse that is missing loses its own group alone', async () => {
    for (const index of [0, 1, 2]) {
      at.org.faults.add({ match: atComposite, action: { type: 'forgetPart', index } })
      const sent = await send([named('A'), named('B'), named('C')])
      expect(sent.answers[index]).toMatchObject({ kind: 'lost', error: { code: 'ANSWER_MISMATCH' } })
      expect(kinds(sent).filter((kind) => kind === 'answered')).toHaveLength(2)
    }
    expect(at.org.count('Contact')).toBe(9)
  })
})

describe('an org that does not take composite calls', () => {
  const three = (): ProviderGroup[] => [named('A'), group({ records: [bad] }), named('C')]
  const operations = (): string[] => at.requests().map(({ operation }) => operation.split('.')[0]!)

  it.each([['forbidden'], ['absent']] as const)(
    '%s: the groups go singly, later ones at once, for an hour',
    async (compositeAccess) => {
      at.org.settings.compositeAccess = compositeAccess
      const first = await send(three())
      expect([kinds(first), first.calls]).toEqual([['answered', 'answered', 'answered'], 4])
      expect(recordsOf(first.answers[1])).toMatchObject([{ ok: false }])
      expect((await send(three())).calls).toBe(3)
      expect(operations()).toEqual(['composite', ...Array<string>(6).fill('collections')])
      expect(at.org.count('Contact')).toBe(4)

      at.org.settings.compositeAccess = 'allowed'
      at.pass(59 * 60_000)
      expect((await send(three())).calls).toBe(3)
      at.pass(60_000)
      expect((await send(three())).calls).toBe(1)
    },
  )

  it('a malformed call goes singly too, but only this once', async () => {
    const status = {
      type: 'status',
      status: 400,
      body: [{ errorCode: 'JSON_PARSER_ERROR', message: 'x' }],
    } as const
    at.org.faults.add({ match: { operation: 'composite' }, action: status })
    expect((await send(three())).calls).toBe(4)
    expect((await send(three())).calls).toBe(1)
  })

  it('stops at a session that ended or a limit on the way, and says so of the rest', async () => {
    at.org.settings.compositeAccess = 'absent'
    for (const canned of ['invalidSession', 'totalRequests'] as const) {
      at.org.faults.add({
        match: {
          recordMatches: { field: 'Title' },
          operation: 'collections.create',
          pathContains: 'sobjects',
        },
        action: { type: 'status', canned },
      })
      const seen = at.requests().length
      const sent = await send(three())
      expect(kinds(sent)).toEqual(['answered', 'refused', 'refused'])
      expect(sent.answers[2]).toEqual(sent.answers[1])
      expect(at.requests().length - seen).toBe(sent.calls)
    }
    expect(at.org.count('Contact')).toBe(2)
  })

  it('keeps the time limit as a whole', async () => {
    at.org.settings.compositeAccess = 'absent'
    at.org.faults.add({
      match: { recordMatches: { field: 'Title' }, pathContains: 'composite/sobjects' },
      action: { type: 'hang' },
    })
    const sent = await send(three(), { timeoutMs: 400 })
    expect(kinds(sent)).toEqual(['answered', 'lost', 'not_sent'])
    expect(sent.calls).toBe(3)
    expect(at.org.count('Contact')).toBe(1)
  })

  it('stops when aborted', async () => {
    at.org.settings.compositeAccess = 'absent'
    const gate = at.org.faults.hold({ pathContains: 'composite/sobjects' })
    const abort = new AbortController()
    const sending = at.provider.sendGroups(at.session, three(), { ...limits, signal: abort.signal })
    await gate.arrived
    abort.abort()
    expect(kinds(await sending)).toEqual(['lost', 'not_sent', 'not_sent'])
    gate.release()
  })
})
