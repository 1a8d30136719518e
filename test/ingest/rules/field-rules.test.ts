import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  applyFieldRules,
  applyFieldSettings,
  mapFields,
  providerFieldName,
  type RecordType,
} from '../../../src/ingest/rules/field-rules.ts'
import type { JsonObject } from '../../../src/ingest/rules/json-values.ts'
import { checkObjectEntry } from '../../../src/ingest/rules/object-entry.ts'
import type { FieldSetting, ObjectEntry } from '../../../src/model/object-entry.ts'
import { anyRecord, textOf } from './arbitrary-json.ts'

const types: RecordType[] = ['create', 'update', 'upsert']

describe('names of fields', () => {
  const entry: ObjectEntry = {
    fieldMappings: { phone_number: 'Phone', Email: 'Work_Email__c', ref: 'Ext__c' },
  }

  it.each<[JsonObject, JsonObject]>([
    [
      { phone_number: '1', Name: 'x' },
      { Phone: '1', Name: 'x' },
    ],
    [{ PHONE_Number: '1' }, { Phone: '1' }],
    [{ phone: '1' }, { phone: '1' }],
    [{ email: 'a@b.c' }, { Work_Email__c: 'a@b.c' }],
    [{ Account: { ref: 'x' } }, { Account: { ref: 'x' } }],
    [{}, {}],
  ])('become of %j %j', (record, expected) => {
    const mapped = mapFields(record, entry)
    expect(mapped.record).toEqual(expected)
    expect(mapped.issues).toEqual([])
  })

  it('may trade places', () => {
    const swap = { fieldMappings: { Name: 'Title', Title: 'Name' } }
    expect(mapFields({ Name: 'n', Title: 't' }, swap).record).toEqual({ Title: 'n', Name: 't' })
  })

  it.each<[JsonObject, string]>([
    [{ phone_number: '1', Phone: '2' }, '/record/Phone'],
    [{ phone: '1', phone_number: '2' }, '/record/phone_number'],
    [{ phone_number: '1', Phone_Number: '2' }, '/record/Phone_Number'],
    [{ Name: '1', name: '2' }, '/record/name'],
  ])('are refused where two are one field: %j', (record, path) => {
    const { issues, record: mapped } = mapFields(record, entry)
    expect(issues.map((issue) => issue.path)).toEqual([path])
    expect(issues[0]?.message).toContain(Object.keys(record)[0])
    expect(Object.values(mapped)).toEqual(['1'])
  })

  it('are found one at a time, too', () => {
    expect(providerFieldName('REF', entry)).toBe('Ext__c')
    expect(providerFieldName('constructor', entry)).toBe('constructor')
    expect(providerFieldName('ref', null)).toBe('ref')
  })

  it('may be those of a prototype, on either side', () => {
    const hostile = JSON.parse('{"fieldMappings": {"__proto__": "Name", "toString": "Phone"}}') as ObjectEntry
    const record = JSON.parse('{"__proto__": 1, "toString": 2, "constructor": 3}') as JsonObject
    expect(textOf(mapFields(record, hostile).record)).toBe('{"Name":1,"Phone":2,"constructor":3}')
    expect(textOf(mapFields(record, null).record)).toBe(textOf(record))
  })
})

describe('field settings', () => {
  const settingsOf = (setting: FieldSetting): ObjectEntry => ({
    selectedFieldSettings: { Field__c: setting },
  })
  const byDefault = { default: { stringValue: 'd' } }

  type Row = [FieldSetting, RecordType, JsonObject, JsonObject, ifEmpty?: string[], dropped?: string[]]
  it.each<Row>([
    [{}, 'create', { field__C: 'v' }, { field__C: 'v' }],
    [{}, 'update', { field__C: 'v' }, { field__C: 'v' }],
    [{ writeOnCreate: 'never' }, 'create', { field__C: 'v', A: 1 }, { A: 1 }, [], ['field__C']],
    [{ writeOnCreate: 'never' }, 'update', { field__C: 'v' }, { field__C: 'v' }],
    [{ writeOnCreate: 'never' }, 'upsert', { field__C: 'v' }, {}, [], ['field__C']],
    [{ writeOnUpdate: 'never' }, 'create', { field__C: 'v' }, { field__C: 'v' }],
    [{ writeOnUpdate: 'never' }, 'update', { field__C: 'v', A: 1 }, { A: 1 }, [], ['field__C']],
    [{ writeOnUpdate: 'never' }, 'upsert', { field__C: 'v' }, {}, [], ['field__C']],
    [{ writeOnUpdate: 'ifEmpty' }, 'create', { field__C: 'v' }, { field__C: 'v' }],
    [{ writeOnUpdate: 'ifEmpty' }, 'update', { field__C: 'v' }, { field__C: 'v' }, ['field__C']],
    [{ writeOnUpdate: 'ifEmpty' }, 'upsert', { field__C: 'v' }, { field__C: 'v' }, ['field__C']],
    [{ writeOnUpdate: 'ifEmpty' }, 'update', { A: 1 }, { A: 1 }],
    [byDefault, 'create', { A: 1 }, { A: 1, Field__c: 'd' }],
    [byDefault, 'create', { FIELD__C: 'v' }, { FIELD__C: 'v' }],
    [byDefault, 'create', { Field__c: null }, { Field__c: null }],
    [byDefault, 'update', { A: 1 }, { A: 1 }],
    [byDefault, 'upsert', { A: 1 }, { A: 1, Field__c: 'd' }, ['Field__c']],
    [byDefault, 'upsert', { Field__c: 'v' }, { Field__c: 'v' }],
    [{ ...byDefault, writeOnCreate: 'never' }, 'create', {}, {}],
    [{ ...byDefault, writeOnUpdate: 'never' }, 'create', {}, { Field__c: 'd' }],
    [{ ...byDefault, writeOnUpdate: 'never' }, 'upsert', {}, {}],
    [{ default: { stringValue: '' } }, 'create', {}, { Field__c: '' }],
    [{ default: { integerValue: 0 } }, 'create', {}, { Field__c: 0 }],
    [{ default: { booleanValue: false } }, 'create', {}, { Field__c: false }],
  ])('%j on %s make of %j %j', (setting, type, record, expected, ifEmpty = [], dropped = []) => {
    const entry = settingsOf(setting)
    expect(checkObjectEntry(entry)).toEqual([])
    expect(applyFieldSettings(record, type, entry)).toEqual({
      record: expected,
      externalIdField: null,
      ifEmptyFields: ifEmpty,
      droppedFields: dropped,
      issues: [],
    })
  })

  it("may go by the caller's name of a field", () => {
    const entry: ObjectEntry = {
      fieldMappings: { source: 'LeadSource' },
      selectedFieldSettings: { Source: { default: { stringValue: 'app' }, writeOnUpdate: 'never' } },
    }
    expect(applyFieldRules({ A: 1 }, 'create', entry).record).toEqual({ A: 1, LeadSource: 'app' })
    expect(applyFieldRules({ A: 1, source: 'x' }, 'update', entry).record).toEqual({ A: 1 })
  })

  it('never touch what names the record: such a configuration is an issue of the write', () => {
    const never: FieldSetting = { writeOnCreate: 'never', writeOnUpdate: 'never' }
    const entry: ObjectEntry = {
      fieldMappings: { ref: 'Ext__c' },
      selectedFieldSettings: { Id: never, Ext__c: { writeOnUpdate: 'ifEmpty' } },
    }
    const update = applyFieldRules({ id: '003', Ext__c: 'x' }, 'update', entry)
    expect(update.record).toEqual({ id: '003', Ext__c: 'x' })
    expect(update.issues.map((issue) => issue.path)).toEqual(['/record/id'])
    const upsert = applyFieldRules({ REF: 'x', A: 1 }, 'upsert', entry, 'ref', '/batch/0/record')
    expect(upsert.record).toEqual({ Ext__c: 'x', A: 1 })
    expect(upsert.externalIdField).toBe('Ext__c')
    expect([...upsert.ifEmptyFields, ...upsert.droppedFields]).toEqual([])
    expect(upsert.issues.map((issue) => issue.path)).toEqual(['/batch/0/record/REF'])
    expect(upsert.issues[0]?.message).toContain('only if empty')
  })

  it('never fill in an external id, which would make one record of many', () => {
    const entry: ObjectEntry = { selectedFieldSettings: { Ext__c: { default: { stringValue: 'd' } } } }
    const upsert = applyFieldRules({ A: 1 }, 'upsert', entry, 'EXT__c')
    expect(upsert.record).toEqual({ A: 1 })
    expect(upsert.ifEmptyFields).toEqual([])
    expect(applyFieldRules({ A: 1 }, 'create', entry).record).toEqual({ A: 1, Ext__c: 'd' })
  })

  it('may be absent altogether', () => {
    for (const type of types) expect(applyFieldRules({ A: 1 }, type, null, null).record).toEqual({ A: 1 })
  })
})

describe('field rules on any record', () => {
  const setting: fc.Arbitrary<FieldSetting> = fc.record(
    {
      default: fc.oneof(
        fc.record({ stringValue: fc.string() }),
        fc.record({ integerValue: fc.integer() }),
        fc.record({ booleanValue: fc.boolean() }),
      ),
      writeOnCreate: fc.constantFrom('always' as const, 'never' as const),
      writeOnUpdate: fc.constantFrom('always' as const, 'never' as const, 'ifEmpty' as const),
    },
    { requiredKeys: [] },
  )
  const field = fc.constantFrom('Name', 'constructor', 'toString', 'Phone')
  const anyEntry: fc.Arbitrary<ObjectEntry> = fc.record({
    selectedFieldSettings: fc.dictionary(field, setting),
  })
  const folded = (names: Iterable<string>): Set<string> =>
    new Set([...names].map((name) => name.toLowerCase()))

  it('does the same once or twice', () => {
    fc.assert(
      fc.property(anyRecord, fc.constantFrom(...types), anyEntry, (record, type, entry) => {
        const before = textOf(record)
        const once = applyFieldRules(record, type, entry)
        const twice = applyFieldRules(once.record, type, entry)
        expect(textOf(record)).toBe(before)
        expect(textOf(twice.record)).toBe(textOf(once.record))
      }),
    )
  })

  it('loses no field without saying so, and changes no value', () => {
    fc.assert(
      fc.property(anyRecord, fc.constantFrom(...types), anyEntry, (record, type, entry) => {
        const { record: ruled, droppedFields, ifEmptyFields, issues } = applyFieldRules(record, type, entry)
        const refused = issues.map((issue) => issue.path)
        for (const [name, value] of Object.entries(record)) {
          const isRefused = refused.includes(`/record/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`)
          const isKept = Object.hasOwn(ruled, name)
          expect([isKept, isRefused, droppedFields.includes(name)].filter(Boolean)).toHaveLength(1)
          if (isKept) expect(textOf(ruled[name])).toBe(textOf(value))
        }
        const configured = folded(Object.keys(entry.selectedFieldSettings ?? {}))
        for (const name of droppedFields) expect(configured.has(name.toLowerCase())).toBe(true)
        for (const name of ifEmptyFields) expect(Object.hasOwn(ruled, name)).toBe(true)
        const given = folded(Object.keys(record))
        for (const name of Object.keys(ruled))
          expect(given.has(name.toLowerCase()) || configured.has(name.toLowerCase())).toBe(true)
      }),
    )
  })

  it('leaves a record as it is where nothing is configured for it', () => {
    fc.assert(
      fc.property(anyRecord, fc.constantFrom(...types), (record, type) => {
        const { record: ruled, issues } = applyFieldRules(record, type, {})
        if (issues.length === 0) expect(textOf(ruled)).toBe(textOf(record))
      }),
    )
  })
})
