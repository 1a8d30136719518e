import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readHeaders } from '../../../src/ingest/rules/provider-headers.ts'
import {
  dropEmptyValues,
  laneOptions,
  readOptions,
  toProviderHeaders,
  type WriteOptions,
} from '../../../src/ingest/rules/write-options.ts'
import { anyJson, anyRecord, textOf } from './arbitrary-json.ts'

const pathsOf = (options: unknown): string[] => readOptions(options).issues.map((issue) => issue.path)
const ASSIGN = 'Sforce-Auto-Assign'
const DUPLICATE = 'Sforce-Duplicate-Rule-Header'

describe('options of a write', () => {
  it('are kept as they are given, absent ones absent', () => {
    expect(readOptions(undefined)).toEqual({ options: {}, issues: [] })
    const all = { ignoreEmptyValues: true, runAssignmentRules: false, allowDuplicates: false }
    expect(readOptions(all)).toEqual({ options: all, issues: [] })
    expect(readOptions({ allowDuplicates: false, forceUpdateOnCollision: true }).issues).toEqual([])
  })

  it.each([
    [null, ['/options']],
    [[], ['/options']],
    ['x', ['/options']],
    [{ allowDuplicates: 'true' }, ['/options/allowDuplicates']],
    [
      { allowDuplicates: 1, ignoreEmptyValues: null },
      ['/options/allowDuplicates', '/options/ignoreEmptyValues'],
    ],
    [{ AllowDuplicates: true }, ['/options/AllowDuplicates']],
    [{ constructor: true }, ['/options/constructor']],
    [JSON.parse('{"__proto__": true}'), ['/options/__proto__']],
    [{ allowDuplicates: true, forceUpdateOnCollision: true }, ['/options/forceUpdateOnCollision']],
  ])('refuses %j', (options, paths) => {
    expect(pathsOf(options)).toEqual(paths)
  })

  it('names the known options when it refuses an unknown one', () => {
    expect(readOptions({ mode: true }).issues[0]?.message).toContain('ignoreEmptyValues')
  })

  it('leaves to the lane what is no header and no default, in one order', () => {
    expect(laneOptions({})).toEqual({})
    expect(
      laneOptions({ ignoreEmptyValues: false, allowDuplicates: true, runAssignmentRules: true }),
    ).toEqual({})
    expect(textOf(laneOptions({ ignoreEmptyValues: true, forceUpdateOnCollision: true }))).toBe(
      textOf(laneOptions({ forceUpdateOnCollision: true, ignoreEmptyValues: true })),
    )
    expect(laneOptions({ ignoreEmptyValues: true })).toEqual({ ignoreEmptyValues: true })
  })

  it('never throw, and are read again unchanged', () => {
    fc.assert(
      fc.property(anyJson, (input) => {
        const { options } = readOptions(input)
        expect(readOptions(options).options).toEqual(options)
      }),
    )
  })
})

describe('options as headers', () => {
  const merge = (given: Record<string, string>, options: WriteOptions) => {
    const read = readHeaders(Object.entries(given).map(([key, value]) => ({ key, value })))
    expect(read.issues).toEqual([])
    const { headers, issues } = toProviderHeaders(read.headers, options)
    return { headers: Object.fromEntries(headers.map(({ key, value }) => [key, value])), issues }
  }

  it.each<[Record<string, string>, WriteOptions, Record<string, string>]>([
    [{}, {}, {}],
    [{}, { ignoreEmptyValues: true, forceUpdateOnCollision: true }, {}],
    [{}, { runAssignmentRules: true }, { [ASSIGN]: 'TRUE' }],
    [{}, { runAssignmentRules: false }, { [ASSIGN]: 'FALSE' }],
    [{ [ASSIGN]: 'false' }, { runAssignmentRules: false }, { [ASSIGN]: 'FALSE' }],
    [{ [ASSIGN]: '001RM000003oLru' }, { runAssignmentRules: true }, { [ASSIGN]: '001RM000003oLruYAE' }],
    [{ [ASSIGN]: 'TRUE' }, {}, { [ASSIGN]: 'TRUE' }],
    [{}, { allowDuplicates: true }, { [DUPLICATE]: 'allowSave=true' }],
    [{}, { allowDuplicates: false }, {}],
    [
      { [DUPLICATE]: 'runAsCurrentUser=true' },
      { allowDuplicates: true },
      { [DUPLICATE]: 'allowSave=true; runAsCurrentUser=true' },
    ],
    [
      { [DUPLICATE]: 'runAsCurrentUser=true' },
      { allowDuplicates: false },
      { [DUPLICATE]: 'runAsCurrentUser=true' },
    ],
    [{ [DUPLICATE]: 'allowSave=true' }, { allowDuplicates: true }, { [DUPLICATE]: 'allowSave=true' }],
    [
      { [DUPLICATE]: 'allowSave=false' },
      { forceUpdateOnCollision: true },
      { [DUPLICATE]: 'allowSave=false' },
    ],
  ])('%j with %j become %j', (given, options, expected) => {
    expect(merge(given, options)).toEqual({ headers: expected, issues: [] })
  })

  it.each<[Record<string, string>, WriteOptions, keyof WriteOptions]>([
    [{ [ASSIGN]: 'FALSE' }, { runAssignmentRules: true }, 'runAssignmentRules'],
    [{ [ASSIGN]: 'TRUE' }, { runAssignmentRules: false }, 'runAssignmentRules'],
    [{ [ASSIGN]: '001RM000003oLru' }, { runAssignmentRules: false }, 'runAssignmentRules'],
    [{ [DUPLICATE]: 'allowSave=false' }, { allowDuplicates: true }, 'allowDuplicates'],
    [{ [DUPLICATE]: 'allowSave=true' }, { allowDuplicates: false }, 'allowDuplicates'],
    [{ [DUPLICATE]: 'allowSave=true' }, { forceUpdateOnCollision: true }, 'forceUpdateOnCollision'],
  ])('refuses %j with %j, naming both', (given, options, option) => {
    const { issues } = merge(given, options)
    expect(issues.map((issue) => issue.path)).toEqual([`/options/${option}`])
    expect(issues[0]?.message).toContain(Object.keys(given)[0])
  })

  it('do not depend on being merged once or twice, and are headers that a caller could have given', () => {
    const options = fc.record(
      { runAssignmentRules: fc.boolean(), allowDuplicates: fc.boolean() },
      { requiredKeys: [] },
    )
    const given = fc.subarray([
      { key: ASSIGN, value: 'TRUE' },
      { key: DUPLICATE, value: 'includeRecordDetails=true' },
      { key: 'Sforce-Mru', value: 'updateMru=false' },
    ])
    fc.assert(
      fc.property(given, options, (headers, chosen) => {
        const once = toProviderHeaders(headers, chosen)
        expect(toProviderHeaders(once.headers, chosen)).toEqual(once)
        expect(readHeaders(once.headers)).toEqual({ headers: once.headers, issues: [] })
      }),
    )
  })
})

describe('leaving empty values out', () => {
  it.each([
    [{ A: '', B: null, C: 'x' }, null, { C: 'x' }],
    [{ A: ' ', B: 0, C: false, D: [], E: {} }, null, { A: ' ', B: 0, C: false, D: [], E: {} }],
    [{ id: '', A: '' }, null, { id: '' }],
    [{ ID: null, A: null }, null, { ID: null }],
    [{ ext_id__C: '', A: '' }, 'Ext_Id__c', { ext_id__C: '' }],
    [{ Ext_Id__c: '' }, null, {}],
    [{ Account: { ExtId__c: '' }, LastName: 'x' }, null, { LastName: 'x' }],
    [{ Account: { attributes: { type: 'Account' }, ExtId__c: null } }, null, {}],
    [{ Account: { Owner: { ExtId__c: '' } } }, null, {}],
    [{ Account: { ExtId__c: 'v' } }, null, { Account: { ExtId__c: 'v' } }],
    [{ Account: { ExtId__c: '', Name: 'v' } }, null, { Account: { ExtId__c: '', Name: 'v' } }],
    [
      { Account: { attributes: { type: 'Account' } } },
      null,
      { Account: { attributes: { type: 'Account' } } },
    ],
    [{ List: ['', null] }, null, { List: ['', null] }],
  ])('makes of %j (external id %j) %j', (record, externalIdField, expected) => {
    expect(dropEmptyValues(record, externalIdField)).toEqual(expected)
  })

  it('loses nothing else, keeps the order, and does nothing the second time', () => {
    fc.assert(
      fc.property(anyRecord, fc.option(fc.constantFrom('Name', '__proto__')), (record, key) => {
        const before = textOf(record)
        const kept = dropEmptyValues(record, key)
        expect(textOf(record)).toBe(before)
        expect(textOf(dropEmptyValues(kept, key))).toBe(textOf(kept))
        const expected = Object.entries(record).filter(([name]) => Object.hasOwn(kept, name))
        expect(textOf(Object.entries(kept))).toBe(textOf(expected))
        for (const [name, value] of Object.entries(record)) {
          if (Object.hasOwn(kept, name)) continue
          expect(value === '' || value === null || typeof value === 'object').toBe(true)
          expect(name.toLowerCase()).not.toBe('id')
          expect(name.toLowerCase()).not.toBe(key?.toLowerCase())
        }
      }),
    )
  })
})
