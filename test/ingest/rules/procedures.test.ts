import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findProcedure } from '../../../src/ingest/rules/procedures.ts'
import type { ConfiguredObject, Procedure } from '../../../src/model/object-entry.ts'

const entryWith = (procedure: Procedure): ConfiguredObject => ({
  objectName: 'Opportunity',
  fieldMappings: { stage: 'StageName', 'next step': 'NextStep' },
  procedures: { Own: procedure },
})
const rulesOf = (procedure: Procedure) => findProcedure(entryWith(procedure), 'Own')!
const refused = (procedure: Procedure, record: Record<string, unknown>): string[] =>
  rulesOf(procedure)
    .findRefused(record, '/r')
    .map(({ path }) => path)

describe('a procedure', () => {
  it('is found by its very name', () => {
    const entry = entryWith({ allOrNone: true })
    expect(findProcedure(entry, 'Own')?.procedure).toEqual({ allOrNone: true })
    for (const name of ['own', 'OWN', '', 'constructor', '__proto__', 'toString'])
      expect(findProcedure(entry, name)).toBeNull()
    expect(findProcedure(undefined, 'Own')).toBeNull()
    expect(findProcedure({ objectName: 'Account' }, 'Own')).toBeNull()
    const odd = JSON.parse('{"__proto__": {"allOrNone": true}}') as Record<string, Procedure>
    expect(findProcedure({ objectName: 'Account', procedures: odd }, '__proto__')?.procedure.allOrNone).toBe(
      true,
    )
  })

  it('takes its fields by either of their names, in any letter case, and the record’s own id', () => {
    const own: Procedure = { fields: ['stage', 'NextStep'] }
    const record = { ID: '1', STAGE: 1, stagename: 2, 'Next Step': 3, nextstep: 4 }
    expect(refused(own, record)).toEqual([])
    expect(refused(own, { Amount: 1, 'a/b': 2, Owner: { Id: 1 } })).toEqual([
      '/r/Amount',
      '/r/a~1b',
      '/r/Owner',
    ])
    expect(refused({ fields: [] }, { id: 1, Name: 'x' })).toEqual(['/r/Name'])
    expect(refused({}, { anything: 1 })).toEqual([])
    // What is forced is not thereby the caller's to give.
    expect(refused({ fields: ['stage'], values: { Amount: 1 } }, { Amount: 2 })).toEqual(['/r/Amount'])
    expect(rulesOf(own).findRefused({ Amount: 1 }, '')[0]?.message).toBe(
      'is not a field that the procedure "Own" takes',
    )
  })

  it('sets its values in place of the caller’s, by whichever name those are given', () => {
    const own = rulesOf({ values: { stage: 'Won', Description: null, Amount: 0, IsPrivate: false } })
    const record = { StageName: 'x', STAGE: 'y', amount: 5, Name: 'n', description: 'd' }
    expect(own.force(record)).toEqual({
      Name: 'n',
      stage: 'Won',
      Description: null,
      Amount: 0,
      IsPrivate: false,
    })
    expect(record.Name).toBe('n')
    expect([own.forces('stagename'), own.forces('STAGE'), own.forces('Name')]).toEqual([true, true, false])
    expect(rulesOf({}).force(record)).toEqual(record)
  })

  it('leaves a field called __proto__ a field', () => {
    const record = JSON.parse('{"__proto__": 1}') as Record<string, unknown>
    expect(JSON.stringify(rulesOf({ values: { Amount: 1 } }).force(record))).toBe(
      '{"__proto__":1,"Amount":1}',
    )
    expect(refused({ fields: [] }, record)).toEqual(['/r/__proto__'])
  })

  it('whatever the record, sends its own values and nothing else that it names', () => {
    const names = fc.constantFrom('stage', 'StageName', 'STAGENAME', 'Amount', 'amount', 'Name', 'next step')
    const own = rulesOf({ values: { StageName: 'Won', amount: 1 } })
    fc.assert(
      fc.property(fc.dictionary(names, fc.jsonValue()), (record) => {
        const sent = own.force(record)
        const forced = Object.keys(sent).filter((name) => own.forces(name))
        expect(forced).toEqual(['StageName', 'amount'])
        expect(own.force(sent)).toEqual(sent)
      }),
    )
  })
})
