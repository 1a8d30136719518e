import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_PARENTS, parentKeysOf } from '../../../src/ingest/rules/parent-keys.ts'
import type { WriteType } from '../../../src/model/write.ts'
import { anyName } from './arbitrary-json.ts'

const account = '001RM000003oLru'
const account18 = '001RM000003oLruYAE'
const contact = '003RM000006Encr'
const keysOf = (
  objectName: string,
  record: Record<string, unknown>,
  type: WriteType = 'create',
  more: { parentFields?: string[]; externalIdField?: string } = {},
): string[] | null =>
  parentKeysOf(
    record,
    type,
    { objectName, ...(more.parentFields === undefined ? {} : { parentFields: more.parentFields }) },
    more.externalIdField ?? null,
  )

const [accountKey] = keysOf('Contact', { AccountId: account })!

describe('what the provider locks with a record', () => {
  it.each([
    ['Contact', 'AccountId'],
    ['Opportunity', 'AccountId'],
    ['Case', 'AccountId'],
    ['Contract', 'AccountId'],
    ['Order', 'AccountId'],
    ['Asset', 'AccountId'],
    ['AccountTeamMember', 'AccountId'],
    ['AccountContactRole', 'AccountId'],
    ['OpportunityLineItem', 'OpportunityId'],
    ['Task', 'WhatId'],
    ['Task', 'WhoId'],
    ['Event', 'WhatId'],
    ['Event', 'WhoId'],
    ['CampaignMember', 'CampaignId'],
    ['CampaignMember', 'LeadId'],
    ['CampaignMember', 'ContactId'],
  ])('%s.%s, in any letter case, by 15 or 18 characters', (object, field) => {
    expect(keysOf(object, { [field]: account })).toEqual([accountKey])
    expect(keysOf(object.toLowerCase(), { [field.toUpperCase()]: account18 }, 'update')).toEqual([accountKey])
  })

  it('a parent and its children have one key', () => {
    expect(keysOf('Account', { id: account18, Name: 'x' }, 'update')).toEqual([accountKey])
    expect(keysOf('account', { Id: account }, 'delete')).toEqual([accountKey])
    expect(keysOf('Account', { Name: 'x' }, 'create')).toBeNull()
    expect(keysOf('Contract', { id: account18 }, 'update')).toBeNull()
    for (const object of ['Contact', 'Opportunity', 'Case', 'Lead', 'Campaign'])
      expect(keysOf(object, { id: contact }, 'update')).toEqual(keysOf('Task', { WhoId: contact }))
  })

  it('a parent that is named by its external id has one key with its own upsert', () => {
    const own = keysOf('Account', { Ext__c: 'V 1', Name: 'x' }, 'upsert', { externalIdField: 'ext__C' })
    expect(own).toHaveLength(1)
    expect(keysOf('Contact', { Account: { ext__c: 'v 1' } })).toEqual(own)
    expect(keysOf('Contact', { account: { attributes: { type: 'Account' }, Ext__c: 'V 1' } })).toEqual(own)
    expect(keysOf('Task', { What: { attributes: { type: 'Account' }, Ext__c: 'V 1' } })).toEqual(own)
    expect(keysOf('Contact', { Account: { Ext__c: 'other' } })).not.toEqual(own)
    expect(keysOf('Contact', { Account: { Id: account } })).toEqual([accountKey])
  })

  it('lookups that the configuration lists count too', () => {
    const more = { parentFields: ['Invoice__c', 'accountid'] }
    expect(keysOf('Line__c', { invoice__C: account })).toBeNull()
    expect(keysOf('Line__c', { invoice__C: account }, 'create', more)).toEqual([accountKey])
    const byKey = keysOf('Line__c', { Invoice__r: { Number__c: 7 } }, 'create', more)
    expect(byKey).toHaveLength(1)
    expect(keysOf('Line__c', { invoice__R: { number__c: '7' } }, 'update', more)).toEqual(byKey)
    expect(keysOf('Contact', { AccountId: account }, 'create', more)).toEqual([accountKey])
  })

  it('nothing is known of other fields, values that are no ids, and references by several fields', () => {
    expect(keysOf('Contact', { ReportsToId: account })).toBeNull()
    expect(keysOf('Contact', { AccountId: null })).toBeNull()
    expect(keysOf('Contact', { AccountId: 'nonsense' })).toBeNull()
    expect(keysOf('Contact', { Account: { A__c: '1', B__c: '2' } })).toBeNull()
    expect(keysOf('Contact', { Account: { A__c: '' } })).toBeNull()
  })

  it('counts at most four, the record itself among them, and each once', () => {
    const fields = ['A__c', 'B__c', 'C__c', 'D__c']
    const ids = ['a00', 'a01', 'a02', 'a03'].map((prefix) => `${prefix}000000000001`)
    const record = Object.fromEntries(fields.map((field, index) => [field, ids[index]]))
    const more = { parentFields: fields }
    expect(keysOf('X__c', record, 'create', more)).toHaveLength(4)
    const keys = keysOf('Contact', { id: contact, AccountId: account, ...record }, 'update', more)
    expect(keys).toHaveLength(MAX_PARENTS)
    expect(keys).toEqual(
      expect.arrayContaining([accountKey, ...keysOf('Contact', { id: contact }, 'update')!]),
    )
    expect(keysOf('Task', { WhatId: account, WhoId: account18 })).toEqual([accountKey])
  })

  it('holds for any record: at most four UUIDs, none twice, whatever the order and case of its fields', () => {
    const object = fc.constantFrom('Contact', 'Task', 'Account', 'X__c')
    const field = fc.constantFrom('AccountId', 'Account', 'WhatId', 'P__c', 'P__r', 'id', 'Name')
    const value = fc.oneof(
      fc.jsonValue(),
      fc.dictionary(anyName, fc.jsonValue(), { noNullPrototype: true }),
      fc.constantFrom(account, account18, contact),
      fc.record({ K__c: fc.oneof(fc.string(), fc.integer()) }),
    )
    fc.assert(
      fc.property(
        object,
        fc.constantFrom<WriteType>('create', 'update', 'upsert', 'delete'),
        fc.dictionary(field, value, { noNullPrototype: true }),
        (name, type, record) => {
          const more = { parentFields: ['P__c'], ...(type === 'upsert' ? { externalIdField: 'K__c' } : {}) }
          const keys = keysOf(name, record, type, more)
          if (keys !== null) {
            expect(keys.length).toBeGreaterThan(0)
            expect(keys.length).toBeLessThanOrEqual(MAX_PARENTS)
            expect(new Set(keys).size).toBe(keys.length)
            for (const key of keys) expect(key).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
          }
          const shuffled = Object.fromEntries(
            Object.entries(record)
              .reverse()
              .map(([key, of]) => [key.toUpperCase(), of]),
          )
          expect(keysOf(name, shuffled, type, more)).toEqual(keys)
        },
      ),
    )
  })
})
