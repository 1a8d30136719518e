import { describe, expect, it } from 'vitest'
import { sendCall, type CallPart } from '../../src/batcher/send-call.ts'
import { toPart, type PartSource } from '../../src/batcher/to-part.ts'
import type { CallAnswer, ProviderError, RecordAnswer } from '../../src/model/outcome.ts'
import type { FieldRead, FieldsRead, ProviderGroup } from '../../src/providers/provider.ts'
import { allWritten, handMadeProvider, sessionWith, type HandMadeProvider } from './fixture.ts'

const limits = { timeoutMs: 1_000 }
const error: ProviderError = { code: 'SOME_CODE', message: 'some message', fields: [] }
const noRefresh = { refresh: () => Promise.reject(new Error('no session was refused')) }

const group = (records: string[], part: Partial<ProviderGroup> = {}): ProviderGroup => ({
  objectName: 'Contact',
  type: 'update',
  externalIdField: null,
  allOrNone: false,
  headers: [],
  records,
  ...part,
})
const part = (records: string[], more: Partial<CallPart> = {}): CallPart => ({
  group: group(records),
  ifEmpty: records.map(() => null),
  updateCollisions: false,
  ...more,
})
const send = (provider: HandMadeProvider, parts: CallPart[]) =>
  sendCall(noRefresh, 'i', sessionWith(provider), parts, limits)

const refused = (errorClass: 'auth' | 'permanent' | 'throttled'): CallAnswer => ({
  kind: 'refused',
  status: 400,
  errors: [error],
  errorClass,
  usage: null,
})
const records = (answer: CallAnswer | undefined): RecordAnswer[] =>
  answer?.kind === 'answered' ? answer.records : []

describe('the groups of a call', () => {
  it('are sent together, and answered each by itself', async () => {
    const provider = handMadeProvider(({ group: one }) =>
      one.objectName === 'Case' ? refused('permanent') : allWritten(one),
    )
    const parts = [
      part(['{"id":"1"}']),
      part(['{"id":"2"}'], { group: group(['{"id":"2"}'], { objectName: 'Case' }) }),
    ]
    const { answers, calls } = await send(provider, parts)
    expect(answers.map((answer) => answer.kind)).toEqual(['answered', 'refused'])
    expect(calls).toBe(1)
    expect(provider.calls.map(({ call }) => call)).toEqual([0, 0])
  })

  it('go again with a new session when theirs is refused, and only those', async () => {
    let expired = true
    const provider = handMadeProvider(({ group: one }) =>
      expired && one.objectName === 'Case' ? refused('auth') : allWritten(one),
    )
    const parts = [
      part(['{"id":"1"}']),
      part(['{"id":"2"}'], { group: group(['{"id":"2"}'], { objectName: 'Case' }) }),
    ]
    const refresh = (_: string, version: number) => {
      expired = false
      return Promise.resolve({ ...sessionWith(provider), version: version + 1 })
    }
    const { answers, refreshes } = await sendCall({ refresh }, 'i', sessionWith(provider), parts, limits)
    expect(answers.map((answer) => answer.kind)).toEqual(['answered', 'answered'])
    expect(refreshes).toBe(1)
    expect(provider.calls.map((one) => one.group.objectName)).toEqual(['Contact', 'Case', 'Case'])
  })

  it('tell of a session that the org took, and of no other', async () => {
    const lost: CallAnswer = { kind: 'lost', status: 502, error }
    for (const [answer, times] of [
      [refused('permanent'), 1],
      [refused('throttled'), 1],
      [refused('auth'), 0],
      [lost, 0],
    ] as const) {
      let worked = 0
      const provider = handMadeProvider(() => answer)
      const session = { ...sessionWith(provider), worked: () => void (worked += 1) }
      await sendCall(noRefresh, 'i', session, [part(['{"id":"1"}'])], limits)
      expect(worked).toBe(times)
    }
  })

  it('were not sent when there is no new session', async () => {
    const provider = handMadeProvider(() => refused('auth'))
    const refresh = () => Promise.reject(new Error('the login host is away'))
    const { answers } = await sendCall(
      { refresh },
      'i',
      sessionWith(provider),
      [part(['{"id":"1"}'])],
      limits,
    )
    expect(answers).toMatchObject([{ kind: 'not_sent', error: { code: 'NO_SESSION' } }])
  })
})

describe('fields that are written only where there is no value', () => {
  const filled = (...names: (string[] | null)[]): FieldsRead => ({
    kind: 'read',
    filled: names.map((list) => (list === null ? null : new Set(list))),
  })

  it('are read once for the group and left out where they have one', async () => {
    const provider = handMadeProvider(undefined, { readFields: () => filled(['Phone'], null, []) })
    const texts = [
      '{"id":"1","Phone":"p","Title":"t"}',
      '{"id":"2","LastName":"n"}',
      '{"id":"3","Phone":"p"}',
      '{"id":"4","phone":"p"}',
    ]
    const ifEmpty = [['Phone', 'Title'], null, ['Phone'], ['phone']]
    const { calls } = await send(provider, [{ group: group(texts), ifEmpty, updateCollisions: false }])
    expect(provider.reads).toEqual([
      { objectName: 'Contact', keyField: null, keys: ['1', '3', '4'], fields: ['Phone', 'Title', 'phone'] },
    ])
    expect(provider.calls[0]!.group.records).toEqual(['{"id":"1","Title":"t"}', ...texts.slice(1)])
    expect(calls).toBe(2)
  })

  it('are read once for all groups of the call that ask for the same ones', async () => {
    const read = (one: FieldRead): FieldsRead =>
      one.fields.includes('X') ? filled(['X'], null, ['X']) : (refused('throttled') as FieldsRead)
    const provider = handMadeProvider(undefined, { readFields: read })
    const [a, b, c] = [['{"id":"1","X":1}'], ['{"id":"2","X":2}', '{"id":"3","X":3}'], ['{"id":"4","Y":4}']]
    const { answers, calls } = await send(provider, [
      part(a, { ifEmpty: [['X']] }),
      part(c, { ifEmpty: [['Y']] }),
      part(b, { ifEmpty: [['X'], ['X']] }),
      part(c, { ifEmpty: [['Y']] }),
    ])
    expect(provider.reads.map(({ keys, fields }) => [keys, fields])).toEqual([
      [['1', '2', '3'], ['X']],
      [['4', '4'], ['Y']],
    ])
    expect(provider.calls.map((one) => one.group.records)).toEqual([['{"id":"1"}'], [b[0], '{"id":"3"}']])
    expect(answers.map(({ kind }) => kind)).toEqual(['answered', 'refused', 'answered', 'refused'])
    expect(calls).toBe(3)
  })

  it('are looked up by the external id for an upsert', async () => {
    const provider = handMadeProvider(undefined, { readFields: () => filled(['Title']) })
    const upsert = group(['{"Title":"t","ext__c":"k"}'], { type: 'upsert', externalIdField: 'Ext__c' })
    await send(provider, [{ group: upsert, ifEmpty: [['Title']], updateCollisions: false }])
    expect(provider.reads).toMatchObject([{ keyField: 'Ext__c', keys: ['k'] }])
    expect(provider.calls[0]!.group.records).toEqual(['{"ext__c":"k"}'])
  })

  it('fail only the records that have them when the read is refused for good', async () => {
    const provider = handMadeProvider(undefined, { readFields: () => refused('permanent') as FieldsRead })
    const texts = ['{"id":"1","X":1}', '{"id":"2"}', '{"id":"3","X":1}']
    const { answers } = await send(provider, [part(texts, { ifEmpty: [['X'], null, ['X']] })])
    expect(records(answers[0])).toMatchObject([
      { ok: false, errorClass: 'permanent', errors: [error] },
      { ok: true },
      { ok: false, errorClass: 'permanent', errors: [error] },
    ])
    expect(provider.calls.map((one) => one.group.records)).toEqual([['{"id":"2"}']])
  })

  it('keep the whole group from being sent when they cannot be read now', async () => {
    const throttled = refused('throttled') as FieldsRead
    const provider = handMadeProvider(undefined, { readFields: () => throttled })
    const { answers } = await send(provider, [
      part(['{"id":"1","X":1}', '{"id":"2"}'], { ifEmpty: [['X'], null] }),
    ])
    expect(answers).toEqual([throttled])
    expect(provider.calls).toEqual([])
  })
})

describe('records that a duplicate rule refuses', () => {
  const duplicate: RecordAnswer = {
    ok: false,
    errors: [{ code: 'DUPLICATES_DETECTED', message: 'Use one of these', fields: [] }],
    errorClass: 'permanent',
  }
  const some = (one: ProviderGroup): CallAnswer => ({
    kind: 'answered',
    status: 200,
    usage: null,
    records: one.records.map((text) =>
      text.includes('twin') ? duplicate : { ok: true, recordId: 'n', created: true },
    ),
  })

  it('update what they collide with where that is asked for', async () => {
    const updated: CallAnswer = {
      kind: 'answered',
      status: 204,
      usage: null,
      records: [{ ok: true, recordId: 'found', created: false }],
    }
    const provider = handMadeProvider(({ group: one }) => some(one), { updateCollision: () => updated })
    const texts = ['{"a":1}', '{"twin":1}', '{"b":1}']
    const { answers, calls } = await send(provider, [part(texts, { updateCollisions: true })])
    expect(records(answers[0])).toMatchObject([
      { recordId: 'n' },
      { recordId: 'found', created: false },
      { recordId: 'n' },
    ])
    expect(provider.collisions).toEqual(['{"twin":1}'])
    expect(calls).toBe(3)
  })

  it('fail where it is not, and in a group that stands or falls as a whole', async () => {
    for (const more of [
      { updateCollisions: false },
      { updateCollisions: true, group: group(['{"twin":1}'], { allOrNone: true }) },
    ]) {
      const provider = handMadeProvider(({ group: one }) => some(one))
      const { answers } = await send(provider, [part(['{"twin":1}'], more)])
      expect(records(answers[0])).toEqual([duplicate])
      expect(provider.collisions).toEqual([])
    }
  })

  it('say what is known when the way to the update is lost', async () => {
    const provider = handMadeProvider(({ group: one }) => some(one), {
      updateCollision: () => ({ kind: 'lost', status: null, error }),
    })
    const { answers } = await send(provider, [part(['{"twin":1}'], { updateCollisions: true })])
    expect(records(answers[0])).toMatchObject([{ ok: false, errorClass: 'ambiguous', errors: [error] }])
  })
})

describe('writes that are sent as one record', () => {
  const source = (...members: PartSource['members']): PartSource => ({
    objectName: 'Contact',
    type: 'update',
    externalIdField: null,
    allOrNone: false,
    headers: [],
    options: {},
    members,
  })
  const at = (position: number, record: string, ifEmpty: string[] | null = null) => ({
    position,
    record,
    ifEmpty,
  })

  it('have their fields laid over each other, the later ones winning, in any letter case', () => {
    const { group: one } = toPart(
      source(
        at(0, '{"id":"1","Title":"a","Phone":"p"}'),
        at(1, '{"id":"2"}'),
        at(0, '{"id":"1","title":"b"}'),
        at(0, '{"id":"1","Email":null,"Phone":"q"}'),
      ),
    )
    expect(one.records).toEqual(['{"id":"1","Title":"b","Phone":"q","Email":null}', '{"id":"2"}'])
  })

  it('keep a field conditional only where nothing before set it for certain', () => {
    const { group: one, ifEmpty } = toPart(
      source(
        at(0, '{"id":"1","A":1,"C":null}'),
        at(0, '{"id":"1","A":2,"B":2,"C":2}', ['A', 'B', 'C']),
        at(0, '{"id":"1","D":3}', ['D']),
      ),
    )
    expect(one.records).toEqual(['{"id":"1","A":1,"C":2,"B":2,"D":3}'])
    expect(ifEmpty).toEqual([['C', 'B', 'D']])
  })

  it('keep fields of any name', () => {
    const { group: one } = toPart(
      source(at(0, '{"id":"1","__proto__":1}'), at(0, '{"id":"1","constructor":2}')),
    )
    expect(one.records).toEqual(['{"id":"1","__proto__":1,"constructor":2}'])
  })
})
