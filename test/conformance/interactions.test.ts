import { describe, expect, it } from 'vitest'
import { INTERACTIONS } from '../../src/model/engagement.ts'
import type { LookedUp, ProviderGroup, SoughtRecord } from '../../src/providers/provider.ts'
import { interaction } from '../support/engagement.ts'
import { group, limits, recordsOf, simulatedOrg } from './simulated-org.ts'

const at = simulatedOrg()

const texts = (...parts: Record<string, unknown>[]): string[] =>
  parts.map((part) => JSON.stringify({ engagementInteraction: interaction(part) }))
const interactions = (...parts: Record<string, unknown>[]): ProviderGroup =>
  group({ objectName: INTERACTIONS, records: texts(...parts) })
const send = (groups: ProviderGroup[]) => at.provider.sendGroups(at.session, groups, limits)
const seek = async (records: SoughtRecord[]): Promise<LookedUp> =>
  (await at.provider.lookUp(at.session, { objectName: INTERACTIONS, records }, limits)).answer
const sought = (externalIdentifierId: string, part: Partial<SoughtRecord> = {}): SoughtRecord => ({
  text: texts({ externalIdentifierId })[0]!,
  since: 0,
  others: [],
  ...part,
})
const lookUp = (...keys: string[]): Promise<LookedUp> => seek(keys.map((key) => sought(key)))

describe('interactions', () => {
  it('go one by one or in a batch, each a call of the org, never packed with others', async () => {
    const sent = await send([
      group(),
      interactions({ reason: 'a' }, { sentiment: 'Furious' }, { reason: 'c' }),
      group({ objectName: 'Account', records: ['{"Name":"Acme"}'] }),
      group({ objectName: 'Lead', records: ['{"LastName":"x","Company":"y"}'] }),
      interactions({ reason: 'd' }),
    ])
    expect(at.requests().map((entry) => [entry.operation, entry.apiCalls])).toEqual([
      ['collections.create', 1],
      ['compositeBatch', 3],
      ['composite', 1],
      ['engagement.create', 1],
    ])
    expect([sent.calls, at.org.apiUsed]).toEqual([6, 6])
    expect(sent.answers.map((answer) => recordsOf(answer).map((record) => record.ok))).toEqual([
      [true],
      [true, false, true],
      [true],
      [true],
      [true],
    ])
    const [record] = recordsOf(sent.answers[4])
    expect(record).toMatchObject({
      recordId: at.org.find('EngagementInteraction', 'Reason', 'd')[0]!.Id,
      created: true,
      raw: { engagementInteraction: { engagementAttendees: [] } },
    })
  })

  it('are read alike whatever the org says for a success, and for a failure', async () => {
    const readings = [200, 201] as const
    for (const status of readings)
      for (const code of [0, 200, 201, 'absent'] as const)
        for (const errors of ['http', 'inStatus'] as const) {
          Object.assign(at.org.settings, {
            engagementStatus: status,
            engagementStatusCode: code,
            engagementErrors: errors,
          })
          const { answers } = await send([
            interactions({}, { sentiment: 'Furious' }),
            interactions({}),
            interactions({ sentiment: 'Furious' }),
          ])
          expect(recordsOf(answers[0])).toMatchObject([{ ok: true }, { ok: false, errorClass: 'permanent' }])
          expect(recordsOf(answers[1])).toMatchObject([{ ok: true }])
          const last = answers[2]!
          const failed = last.kind === 'answered' ? last.records[0] : last
          expect(failed).toMatchObject({ errorClass: 'permanent' })
        }
  })

  it('that repeat an external id are told apart by the org’s word', async () => {
    for (const repeat of ['badRequest', 'conflict'] as const) {
      at.org.settings.engagementRepeat = repeat
      const { answers } = await send([
        interactions({ externalIdentifierId: repeat }, { externalIdentifierId: repeat }),
      ])
      expect(recordsOf(answers[0])).toMatchObject([
        { ok: true },
        { ok: false, errorClass: 'permanent', errors: [{ code: 'DUPLICATE_VALUE' }] },
      ])
    }
  })
})

describe('a look-up of interactions', () => {
  it('finds the one of each key in one call, and says what is not there or not clear', async () => {
    const keys = ["it's \\ one", 'two', 'two', 'CASE', 'not asked for']
    const ids = keys.map((ExternalIdentifierId) =>
      at.org.create('EngagementInteraction', { ExternalIdentifierId }),
    )
    const answer = await lookUp("it's \\ one", 'two', 'case', 'nothing')
    expect(answer).toMatchObject({
      kind: 'found',
      matches: [{ id: ids[0], raw: { Id: ids[0] } }, 'unclear', 'unclear', null],
    })
    expect(at.requests()).toHaveLength(1)
  })

  it('takes none for it that was there before it was sent, by the org’s own clock', async () => {
    const make = (ExternalIdentifierId: string): string =>
      at.org.create('EngagementInteraction', { ExternalIdentifierId })
    const [old] = ['old', 'both', 'OLD CASE'].map(make)
    const made = Date.now() - 60_000
    // The org's clock is a minute ahead of ours from here on, and what was made above a minute older.
    at.org.advanceTime(60_000)
    const now = make('both')
    const since = made + 10_000
    expect(
      await seek([
        sought('old', { since }),
        sought('both', { since }),
        sought('both', { since: made }),
        sought('old case', { since }),
        sought('never', { since }),
        // The times that are compared are whole seconds: what is this close may be it.
        sought('old', { since: made + 2_000 }),
      ]),
    ).toMatchObject({ matches: ['other', { id: now }, 'unclear', 'other', null, { id: old }] })
  })

  it('takes none for it that is known as another’s, and tells of the org’s calls', async () => {
    const [first, second] = ['one', 'two'].map((ExternalIdentifierId) =>
      at.org.create('EngagementInteraction', { ExternalIdentifierId }),
    )
    const again = at.org.create('EngagementInteraction', { ExternalIdentifierId: 'two' })
    const answer = await seek([sought('one', { others: [first!] }), sought('two', { others: [second!] })])
    expect(answer).toMatchObject({ matches: ['other', { id: again }], usage: { used: 1 } })
  })

  it('of 25 long keys fits its lines', async () => {
    const keys = Array.from({ length: 25 }, (_, index) => `${index}${'ü'.repeat(250)}`)
    const ids = keys.map((ExternalIdentifierId) =>
      at.org.create('EngagementInteraction', { ExternalIdentifierId }),
    )
    expect(await lookUp(...keys)).toMatchObject({ matches: ids.map((id) => ({ id })) })
  })

  it('is refused for good, refused for now, or not made: never lost', async () => {
    const strike = (action: Parameters<typeof at.org.faults.add>[0]['action']) =>
      at.org.faults.add({ match: { operation: 'query' }, action })
    strike({ type: 'status', status: 400, body: [{ errorCode: 'INVALID_TYPE', message: 'x' }] })
    expect(await lookUp('a')).toMatchObject({ kind: 'refused', errorClass: 'permanent' })
    strike({ type: 'status', canned: 'invalidSession' })
    expect(await lookUp('a')).toMatchObject({ kind: 'refused', errorClass: 'auth' })
    strike({ type: 'dropAfter' })
    expect(await lookUp('a')).toMatchObject({ kind: 'not_sent' })
    strike({ type: 'wrongShape' })
    expect(await lookUp('a')).toMatchObject({ kind: 'not_sent' })
  })
})
