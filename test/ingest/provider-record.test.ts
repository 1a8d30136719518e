import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkRecord, toProviderRecord } from '../../src/ingest/provider-record.ts'

const paths = (...args: Parameters<typeof checkRecord>): string[] =>
  checkRecord(...args).map((issue) => issue.path)

describe('records of writes', () => {
  it('names an update by id or Id, 15 or 18 characters, and sends the 18 first', () => {
    for (const id of ['001RM000003oLru', '001RM000003oLruYAE']) {
      for (const key of ['id', 'Id']) {
        const record = { Name: 'x', [key]: id }
        expect(checkRecord(record, 'update', null)).toEqual([])
        expect(toProviderRecord(record, 'update')).toBe('{"id":"001RM000003oLruYAE","Name":"x"}')
      }
    }
    expect(toProviderRecord({ id: '001RM000003oLru' }, 'update')).toBe('{"id":"001RM000003oLruYAE"}')
  })

  it('refuses an update without a usable id', () => {
    expect(paths({ Name: 'x' }, 'update', null)).toEqual(['/record/id'])
    expect(paths({ id: 'nonsense' }, 'update', null)).toEqual(['/record/id'])
    expect(paths({ id: 5 }, 'update', null)).toEqual(['/record/id'])
    expect(paths({ id: '001RM000003oLru', Id: '001RM000003oLru' }, 'update', null)).toEqual(['/record/Id'])
  })

  it('refuses an id where the provider gives it', () => {
    expect(paths({ Id: '001RM000003oLru' }, 'create', null)).toEqual(['/record/Id'])
    expect(paths({ Id: '001RM000003oLru', K__c: 'k' }, 'upsert', 'K__c')).toEqual(['/record/Id'])
  })

  it("refuses the attributes that are the provider's own", () => {
    expect(paths({ attributes: { type: 'Contact' } }, 'create', null)).toEqual(['/record/attributes'])
  })

  it('wants a value for the external id, in any letter case of its name', () => {
    expect(checkRecord({ external_id__C: 'a' }, 'upsert', 'External_Id__c')).toEqual([])
    expect(checkRecord({ External_Id__c: 7 }, 'upsert', 'External_Id__c')).toEqual([])
    for (const value of ['', ' ', null, {}, true]) {
      expect(paths({ External_Id__c: value }, 'upsert', 'External_Id__c')).toEqual(['/record/External_Id__c'])
    }
    expect(paths({}, 'upsert', 'External_Id__c')).toEqual(['/record/External_Id__c'])
    expect(paths({ K__c: 'a', k__c: 'b' }, 'upsert', 'K__c')).toEqual(['/record/k__c'])
    expect(paths({ K__c: 'x'.repeat(256) }, 'upsert', 'K__c')).toEqual(['/record/K__c'])
    expect(paths({ Id: 'x' }, 'upsert', 'Id')).toContain('/externalIdField')
  })

  it('passes every other name and value on as it is, prototype names among them', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }), (fields) => {
        const record = JSON.parse(JSON.stringify(fields)) as Record<string, unknown>
        expect(JSON.parse(toProviderRecord(record, 'create'))).toEqual(record)
        delete record['id']
        delete record['Id']
        delete record['iD']
        delete record['ID']
        const sent = JSON.parse(toProviderRecord({ ...record, Id: '001RM000003oLru' }, 'update')) as Record<
          string,
          unknown
        >
        expect(sent).toEqual({ id: '001RM000003oLruYAE', ...record })
      }),
    )
    const hostile = JSON.parse('{"__proto__":{"a":1},"constructor":"x","Id":"001RM000003oLru"}') as Record<
      string,
      unknown
    >
    expect(toProviderRecord(hostile, 'update')).toBe(
      '{"id":"001RM000003oLruYAE","__proto__":{"a":1},"constructor":"x"}',
    )
  })
})
