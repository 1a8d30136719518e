import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { laneKeyHash, laneKeyText, type LaneKey } from '../../src/model/lane.ts'

const key: LaneKey = {
  projectId: 'p',
  integrationId: 'i',
  installationId: 'n',
  objectName: 'Contact',
  type: 'upsert',
  externalIdField: 'External_Id__c',
  allOrNone: false,
  onRollback: 'fail',
  merge: false,
  headers: [
    { key: 'Sforce-Auto-Assign', value: 'FALSE' },
    { key: 'Sforce-Mru', value: 'updateMru=false' },
  ],
  options: { allowDuplicates: true, ignoreEmptyValues: true },
  operationId: null,
}

const anyKey = fc.record({
  objectName: fc.constantFrom('Contact', 'Account', 'A"],["'),
  type: fc.constantFrom('create' as const, 'update' as const, 'upsert' as const),
  externalIdField: fc.constantFrom(null, 'External_Id__c', 'null'),
  allOrNone: fc.boolean(),
  onRollback: fc.constantFrom('fail' as const, 'resend' as const),
  merge: fc.boolean(),
  headers: fc.uniqueArray(
    fc.record({ key: fc.constantFrom('A', 'B', 'C'), value: fc.constantFrom('1', '2') }),
    {
      selector: (header) => header.key,
    },
  ),
  options: fc.dictionary(fc.constantFrom('a', 'b'), fc.boolean(), { noNullPrototype: true }),
  operationId: fc.constantFrom(null, 'o', 'p'),
})

const canonical = (part: Omit<LaneKey, 'projectId' | 'integrationId' | 'installationId'>): unknown => ({
  ...part,
  headers: part.headers.toSorted((a, b) => a.key.localeCompare(b.key)),
  options: Object.fromEntries(Object.entries(part.options).sort(([a], [b]) => a.localeCompare(b))),
})

describe('lane keys', () => {
  it('are the same whatever the order and letter case of headers and the order of options', () => {
    const other: LaneKey = {
      ...key,
      headers: [
        { key: 'sforce-mru', value: 'updateMru=false' },
        { key: 'SFORCE-AUTO-ASSIGN', value: 'FALSE' },
      ],
      options: { ignoreEmptyValues: true, allowDuplicates: true },
    }
    expect(laneKeyText(other)).toBe(laneKeyText(key))
    expect(laneKeyHash(laneKeyText(other))).toEqual(laneKeyHash(laneKeyText(key)))
  })

  it('are equal exactly when every part that may not mix is equal', () => {
    fc.assert(
      fc.property(anyKey, anyKey, (a, b) => {
        const same = JSON.stringify(canonical(a)) === JSON.stringify(canonical(b))
        expect(laneKeyText({ ...key, ...a }) === laneKeyText({ ...key, ...b })).toBe(same)
      }),
      { numRuns: 500 },
    )
  })
})
