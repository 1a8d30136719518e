import { describe, expect, it } from 'vitest'
import { compare } from '../../bench/chaos/compare.ts'
import type { OrgRecord } from '../../bench/chaos/evidence.ts'
import type { Subject } from '../../bench/chaos/plan-load.ts'
import { evidence, type Told } from './evidence-fixture.ts'

/** Kinds and markers of what was found. */
const found = (writes: Told[], org: Record<string, OrgRecord[]>, held: Subject[] = []): string[] =>
  compare(evidence(writes, org, held)).findings.map(({ kind, marker }) => `${kind} ${marker}`)

describe('a create', () => {
  const there: OrgRecord = { Id: 'a', Notes__c: 'write-1' }
  const twice: OrgRecord[] = [there, { Id: 'b', Notes__c: 'write-1' }]

  const cases: [string, Told, OrgRecord[], string[]][] = [
    ['that succeeded and is there is fine', { state: 'succeeded', recordId: 'a' }, [there], []],
    ['that succeeded and is not there is lost', { state: 'succeeded' }, [], ['lost write-1']],
    [
      'that succeeded as another record is lost',
      { state: 'succeeded', recordId: 'z' },
      [there],
      ['lost write-1'],
    ],
    ['that was acknowledged without an operation is lost', {}, [], ['lost write-1']],
    ['that is there twice is doubled', { state: 'succeeded', recordId: 'a' }, twice, ['doubled write-1']],
    [
      'that nobody was told of is doubled when there twice',
      { verdict: 'unknown' },
      twice,
      ['doubled write-1'],
    ],
    ['that nobody was told of may be there', { verdict: 'unknown' }, [there], []],
    ['that nobody was told of need not be there', { verdict: 'unknown' }, [], []],
    ['that failed and is there is doubled', { state: 'failed' }, [there], ['doubled write-1']],
    ['that failed and is not there is fine', { state: 'failed' }, [], []],
    ['that was refused and is there is doubled', { verdict: 'refused' }, [there], ['doubled write-1']],
    ['that was never sent and is there is doubled', { verdict: 'unsent' }, [there], ['doubled write-1']],
    ['that is in doubt may be there', { state: 'in_doubt' }, [there], []],
    ['that is in doubt need not be there', { state: 'in_doubt' }, [], []],
    ['that is in doubt and there twice is doubled', { state: 'in_doubt' }, twice, ['doubled write-1']],
    ['that has not ended is stuck', { state: 'queued' }, [], ['stuck write-1']],
    ['that is still being sent is stuck', { state: 'sending' }, [there], ['stuck write-1']],
    [
      'that was answered as written and is recorded as failed is lost',
      { answered: 'succeeded', state: 'failed' },
      [],
      ['lost write-1'],
    ],
    [
      'that was answered as written without a record of it counts by the answer',
      { answered: 'succeeded', unrecorded: true },
      [],
      ['lost write-1'],
    ],
  ]
  it.each(cases)('%s', (_, told, org, findings) => {
    expect(found([told], { Contact: org })).toEqual(findings)
  })

  it('with a key is never in doubt', () => {
    const lead: OrgRecord = { Id: 'a', Notes__c: 'write-1' }
    expect(found([{ object: 'Lead', state: 'in_doubt' }], { Lead: [lead] })).toEqual(['lost write-1'])
  })

  it('is told by its object as well', () => {
    expect(found([{ state: 'succeeded' }], { Lead: [there] })).toEqual(['lost write-1', 'doubled write-1'])
  })
})

const held: Subject = { name: 'held', object: 'Account', by: 'id' }
const keyed: Subject = { name: 'key', object: 'Account', by: 'externalId' }

describe('the writes to one record', () => {
  const sets = (value: string, told: Told): Told => ({
    type: 'update',
    object: 'Account',
    subject: held,
    values: { Notes__c: value },
    ...told,
  })
  const holds = (value: string | null): Record<string, OrgRecord[]> => ({
    Account: [{ Id: 'id-held', Notes__c: value }],
  })
  const done: Told = { state: 'succeeded' }
  const failed: Told = { state: 'failed' }
  const unknown: Told = { verdict: 'unknown' }

  const cases: [string, Told[], string | null, string[]][] = [
    ['leave the last value', [sets('1', done), sets('2', done)], '2', []],
    ['leave no older one on top', [sets('1', done), sets('2', done)], '1', ['lost write-2']],
    ['leave nothing from before', [sets('1', done)], null, ['lost write-1']],
    ['leave nothing of nobody', [sets('1', done)], 'x', ['lost write-1']],
    ['leave what was there when all failed', [sets('1', failed)], null, []],
    ['leave nothing of what failed', [sets('1', done), sets('2', failed)], '2', ['doubled write-2']],
    ['leave the one before what failed', [sets('1', done), sets('2', failed)], '1', []],
    ['may leave one that nobody was told of', [sets('1', done), sets('2', unknown)], '2', []],
    ['need not leave one that nobody was told of', [sets('1', done), sets('2', unknown)], '1', []],
    ['leave no untold one on a later one', [sets('1', unknown), sets('2', done)], '1', ['lost write-2']],
    [
      'may leave one given up while under way on a later one',
      [sets('1', { ...unknown, unordered: true }), sets('2', done)],
      '1',
      [],
    ],
    [
      'keep no order with one that was not recorded',
      [sets('1', done), sets('2', { unrecorded: true, unordered: true, answered: 'succeeded' })],
      '1',
      [],
    ],
  ]
  it.each(cases)('%s', (_, writes, value, findings) => {
    expect(found(writes, holds(value), [held])).toEqual(findings)
  })

  it('count field by field: each holds what was written to it last', () => {
    const writes = [
      { ...sets('1', done), values: { Notes__c: '1', Score__c: 1 } },
      { ...sets('2', done), values: { Notes__c: '2' } },
      { ...sets('3', done), values: { Region_Key__c: '3' } },
    ]
    const record = { Id: 'id-held', Notes__c: '2', Score__c: 1, Region_Key__c: '3' }
    expect(found(writes, { Account: [record] }, [held])).toEqual([])
    expect(found(writes, { Account: [{ ...record, Score__c: 7 }] }, [held])).toEqual(['lost write-1'])
    expect(found(writes, { Account: [{ ...record, Region_Key__c: null }] }, [held])).toEqual(['lost write-3'])
  })

  it('are lost with a record that is gone', () => {
    expect(found([sets('1', done), sets('2', failed)], { Account: [] }, [held])).toEqual(['lost write-1'])
  })
})

describe('an upsert', () => {
  const upsert = (told: Told): Told => ({
    type: 'upsert',
    object: 'Account',
    subject: keyed,
    values: { Notes__c: 'v' },
    ...told,
  })
  const record: OrgRecord = { Id: 'a', External_Id__c: 'key', Notes__c: 'v' }

  it('makes its record once, under the id that its operation names', () => {
    const told = upsert({ state: 'succeeded', recordId: 'a' })
    expect(found([told], { Account: [record] })).toEqual([])
    expect(found([told], { Account: [record, { ...record, Id: 'b' }] })).toEqual(['doubled write-1'])
    expect(found([{ ...told, recordId: 'z' }], { Account: [record] })).toEqual(['lost write-1'])
    expect(found([told], { Account: [] })).toEqual(['lost write-1'])
  })

  it('that failed leaves no record', () => {
    expect(found([upsert({ state: 'failed' })], { Account: [] })).toEqual([])
    expect(found([upsert({ state: 'failed' })], { Account: [record] })).toEqual(['doubled write-1'])
  })

  it('is never in doubt', () => {
    expect(found([upsert({ state: 'in_doubt' })], { Account: [record] })).toEqual(['lost write-1'])
  })
})

describe('a delete', () => {
  const remove = (told: Told): Told => ({ type: 'delete', object: 'Account', subject: held, ...told })
  const there = { Account: [{ Id: 'id-held' }] }

  it('that succeeded leaves no record', () => {
    expect(found([remove({ state: 'succeeded' })], { Account: [] }, [held])).toEqual([])
    expect(found([remove({ state: 'succeeded' })], there, [held])).toEqual(['lost write-1'])
  })

  it('that failed leaves the record', () => {
    expect(found([remove({ state: 'failed' })], there, [held])).toEqual([])
    expect(found([remove({ state: 'failed' })], { Account: [] }, [held])).toEqual(['doubled write-1'])
  })

  it('that nobody was told of may have happened', () => {
    expect(found([remove({ verdict: 'unknown' })], there, [held])).toEqual([])
    expect(found([remove({ verdict: 'unknown' })], { Account: [] }, [held])).toEqual([])
  })
})

describe('the whole', () => {
  it('has no record that no write left', () => {
    const stranger = { Id: 'x', Notes__c: 'nobody' }
    expect(found([], { Account: [stranger, { Id: 'id-held' }] }, [held])).toEqual(['doubled nobody'])
  })

  it('counts each record of a batch by its own outcome', () => {
    const { entries, ...rest } = evidence([{}, {}, {}, {}], {
      Contact: [
        { Id: 'a', Notes__c: 'write-1' },
        { Id: 'd', Notes__c: 'write-4' },
      ],
    })
    const states = [
      { success: true, code: null, recordId: 'a' },
      { success: false, code: 'REQUIRED_FIELD_MISSING', recordId: null },
      { success: false, code: 'OUTCOME_UNKNOWN', recordId: null },
      { success: false, code: 'REQUIRED_FIELD_MISSING', recordId: null },
    ]
    const batch = entries.map((entry, position) => ({
      ...entry,
      position,
      operationId: 'batch',
      call: { ...entry.call, isBatch: true },
    }))
    const operations = new Map([['batch', { state: 'partial', records: states }]])
    const result = compare({ ...rest, entries: batch, operations })
    expect(result).toMatchObject({ acknowledged: 4, succeeded: 1, failed: 2, inDoubt: 1 })
    expect(result.findings).toMatchObject([{ kind: 'doubled', marker: 'write-4' }])
  })
})
