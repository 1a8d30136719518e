import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkObjectEntry, checkObjectNames } from '../../../src/ingest/rules/object-entry.ts'
import { anyJson } from './arbitrary-json.ts'

const pathsOf = (entry: unknown): string[] => checkObjectEntry(entry).map((issue) => issue.path)

const good = {
  objectName: 'Contact',
  deletionSettings: { enabled: true },
  mapToName: 'person',
  fieldMappings: { 'last name': 'LastName', ref: 'External_Id__c', contactId: 'Id', phone: 'Phone' },
  selectedFieldSettings: {
    LeadSource: { default: { stringValue: '' }, writeOnCreate: 'always', writeOnUpdate: 'never' },
    phone: { writeOnUpdate: 'ifEmpty' },
    Score__c: { default: { integerValue: -3 } },
    Active__c: { default: { booleanValue: false }, writeOnCreate: 'never' },
    Empty__c: {},
  },
  idempotencyField: 'Write_Id__c',
  procedures: {
    Nothing: {},
    Close: {
      fields: ['phone', 'External_Id__c'],
      values: { 'last name': 'x', Score__c: 1.5, Active__c: false, Empty__c: null },
      allOrNone: true,
      allowDuplicates: false,
      mode: 'asynchronous',
    },
    'Only values': { fields: [], values: { Phone: '' } },
  },
}

describe("an installation's entry for an object", () => {
  it('is taken with everything that it may say, and with nothing', () => {
    expect(checkObjectEntry(good)).toEqual([])
    expect(checkObjectEntry({})).toEqual([])
  })

  it.each<[unknown, string[]]>([
    [null, ['']],
    [[], ['']],
    ['Contact', ['']],
    [{ fieldMapping: {} }, ['/fieldMapping']],
    [JSON.parse('{"__proto__": 1, "constructor": 1}'), ['/__proto__', '/constructor']],
    [{ mapToName: '' }, ['/mapToName']],
    [{ mapToName: 5 }, ['/mapToName']],
    [{ mapToName: ' x' }, ['/mapToName']],
    [{ mapToName: 'a/b' }, ['/mapToName']],
    [{ mapToName: '..' }, ['/mapToName']],
    [{ mapToName: 'x'.repeat(256) }, ['/mapToName']],
    [{ mapToName: 'a\u0007' }, ['/mapToName']],
    [{ idempotencyField: 'ID' }, ['/idempotencyField']],
    [{ idempotencyField: 'a b' }, ['/idempotencyField']],
    [{ fieldMappings: [] }, ['/fieldMappings']],
    [{ fieldMappings: { a: 'Last Name' } }, ['/fieldMappings/a']],
    [{ fieldMappings: { a: '1Field' } }, ['/fieldMappings/a']],
    [{ fieldMappings: { a: null } }, ['/fieldMappings/a']],
    [{ fieldMappings: { '': 'Name' } }, ['/fieldMappings/']],
    [{ fieldMappings: { a: 'Name', b: 'NAME' } }, ['/fieldMappings/b']],
    [{ fieldMappings: { a: 'Name', A: 'Phone' } }, ['/fieldMappings/A']],
    [{ fieldMappings: { a: 'Name', A: 'Name' } }, ['/fieldMappings/A']],
    [JSON.parse('{"fieldMappings": {"__proto__": "1"}}'), ['/fieldMappings/__proto__']],
    [{ selectedFieldSettings: 'x' }, ['/selectedFieldSettings']],
    [{ selectedFieldSettings: { A: null } }, ['/selectedFieldSettings/A']],
    [{ selectedFieldSettings: { 'a b': {} } }, ['/selectedFieldSettings/a b']],
    [{ selectedFieldSettings: { iD: {} } }, ['/selectedFieldSettings/iD']],
    [{ fieldMappings: { key: 'Id' }, selectedFieldSettings: { key: {} } }, ['/selectedFieldSettings/key']],
    [{ selectedFieldSettings: { Name: {}, name: {} } }, ['/selectedFieldSettings/name']],
    [
      { fieldMappings: { n: 'Name' }, selectedFieldSettings: { n: {}, Name: {} } },
      ['/selectedFieldSettings/Name'],
    ],
    [
      { selectedFieldSettings: { A: { writeOnDelete: 'never' } } },
      ['/selectedFieldSettings/A/writeOnDelete'],
    ],
    [
      { selectedFieldSettings: { A: { writeOnCreate: 'ifEmpty' } } },
      ['/selectedFieldSettings/A/writeOnCreate'],
    ],
    [{ selectedFieldSettings: { A: { writeOnUpdate: true } } }, ['/selectedFieldSettings/A/writeOnUpdate']],
    [{ selectedFieldSettings: { A: { default: 'x' } } }, ['/selectedFieldSettings/A/default']],
    [{ selectedFieldSettings: { A: { default: {} } } }, ['/selectedFieldSettings/A/default']],
    [
      { selectedFieldSettings: { A: { default: { stringValue: 'a', integerValue: 1 } } } },
      ['/selectedFieldSettings/A/default'],
    ],
    [
      { selectedFieldSettings: { A: { default: { integerValue: 1.5 } } } },
      ['/selectedFieldSettings/A/default/integerValue'],
    ],
    [
      { selectedFieldSettings: { A: { default: { stringValue: null } } } },
      ['/selectedFieldSettings/A/default/stringValue'],
    ],
    [
      { selectedFieldSettings: { A: { default: { numberValue: 1 } } } },
      ['/selectedFieldSettings/A/default/numberValue', '/selectedFieldSettings/A/default'],
    ],
    [{ procedures: [] }, ['/procedures']],
    [{ procedures: { P: null } }, ['/procedures/P']],
    [{ procedures: { '': {}, ' x': 5 } }, ['/procedures/', '/procedures/ x', '/procedures/ x']],
    [{ procedures: { P: { field: [], mode: 'later' } } }, ['/procedures/P/field', '/procedures/P/mode']],
    [
      { procedures: { P: { allOrNone: 1, allowDuplicates: 'true', mode: null, fields: {}, values: [] } } },
      ['allOrNone', 'allowDuplicates', 'mode', 'fields', 'values'].map((name) => `/procedures/P/${name}`),
    ],
    [
      { procedures: { P: { fields: ['a b', 'ID', 5, 'Name', 'NAME'] } } },
      [0, 1, 2, 4].map((place) => `/procedures/P/fields/${place}`),
    ],
    [
      {
        fieldMappings: { n: 'Name', key: 'Id' },
        procedures: { P: { fields: ['n', 'Name', 'key'], values: { n: 1, name: 2 } } },
      },
      ['/procedures/P/fields/1', '/procedures/P/fields/2', '/procedures/P/values/name'],
    ],
    [
      { procedures: { P: { values: { A: {}, B: [], C: undefined, Id: 'x', 'a/b': 1 } } } },
      ['A', 'B', 'C', 'Id', 'a~1b'].map((name) => `/procedures/P/values/${name}`),
    ],
    // A default would have each create refused for a field that its caller did not give.
    [
      {
        idempotencyField: 'Write_Id__c',
        fieldMappings: { key: 'write_id__c' },
        selectedFieldSettings: { key: { default: { stringValue: 'x' } } },
      },
      ['/selectedFieldSettings/key/default'],
    ],
    [
      {
        idempotencyField: 'Write_Id__c',
        selectedFieldSettings: { Write_Id__c: { writeOnUpdate: 'never' } },
      },
      [],
    ],
    [
      { idempotencyField: 'Write_Id__c', procedures: { P: { values: { write_id__c: 'x' } } } },
      ['/procedures/P/values/write_id__c'],
    ],
  ])('is refused where it is wrong: %j', (entry, paths) => {
    expect(pathsOf(entry)).toEqual(paths)
  })

  it('is checked without ever throwing', () => {
    const member = fc.constantFrom('fields', 'values', 'allOrNone', 'mode', 'other')
    const part = fc.record(
      {
        mapToName: anyJson,
        fieldMappings: anyJson,
        selectedFieldSettings: anyJson,
        idempotencyField: anyJson,
        procedures: fc.oneof(anyJson, fc.dictionary(fc.string(), fc.dictionary(member, anyJson))),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(fc.oneof(anyJson, part), (entry) => {
        for (const { path } of checkObjectEntry(entry, '/x')) expect(path.startsWith('/x')).toBe(true)
      }),
    )
  })
})

describe('the names of objects', () => {
  it('are each of one object', () => {
    expect(
      checkObjectNames({
        Contact: { mapToName: 'person' },
        Account: { mapToName: 'Account' },
        Lead: {},
      }),
    ).toEqual([])
  })

  it('are refused where a name could mean two, in any letter case', () => {
    const objects = {
      Contact: { mapToName: 'person' },
      Lead: { mapToName: 'PERSON' },
      Case: { mapToName: 'contact' },
    }
    expect(checkObjectNames(objects, '/objects')).toEqual([
      { path: '/objects/Lead/mapToName', message: 'names Contact already' },
      { path: '/objects/Case/mapToName', message: 'names Contact already' },
    ])
  })
})
