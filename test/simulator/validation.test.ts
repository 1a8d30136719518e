import { describe, expect, it } from 'vitest'
import { codes, connect, record } from './client.ts'
import type { Client, Item } from './client.ts'

const good: Record<string, Record<string, unknown>> = {
  Account: { Name: 'Acme' },
  Contact: { LastName: 'Ada' },
  Lead: { LastName: 'Ada', Company: 'Acme' },
  Opportunity: { Name: 'Deal', StageName: 'Prospecting', CloseDate: '2026-12-31' },
  Case: {},
  Task: {},
  Invoice__c: {},
}

const createOne = async (client: Client, type: string, fields: object): Promise<Item | undefined> =>
  (await client.items('POST', '', { records: [record(type, { ...good[type], ...fields })] }))[0]

describe('objects', () => {
  it.each([
    ['Account', ['Name']],
    ['Contact', ['LastName']],
    ['Lead', ['LastName', 'Company']],
    ['Opportunity', ['Name', 'StageName', 'CloseDate']],
  ])('%s needs %j', async (type, fields) => {
    const client = await connect()
    const [missing] = await client.items('POST', '', { records: [record(type)] })
    expect(missing?.errors).toEqual([
      {
        statusCode: 'REQUIRED_FIELD_MISSING',
        message: `Required fields are missing: [${fields.join(', ')}]`,
        fields,
      },
    ])
    expect((await createOne(client, type, {}))?.success).toBe(true)
  })

  it.each([
    ['Account', '001'],
    ['Contact', '003'],
    ['Lead', '00Q'],
    ['Opportunity', '006'],
    ['Case', '500'],
    ['Task', '00T'],
    ['Invoice__c', 'a00'],
  ])('%s has ids that start with %s, and the common fields', async (type, prefix) => {
    const client = await connect()
    const common = {
      External_Id__c: 'e',
      Region_Key__c: 'r',
      Case_Key__c: 'c',
      Write_Id__c: 'w',
      Score__c: 1.5,
      Notes__c: 'n'.repeat(5000),
      Synced_At__c: '2026-01-02T03:04:05Z',
    }
    const item = await createOne(client, type, common)
    expect(item?.id?.slice(0, 3)).toBe(prefix)
    expect(client.org.record(item?.id ?? '')).toMatchObject({
      ...common,
      Synced_At__c: '2026-01-02T03:04:05.000+0000',
    })
  })

  it('fill in defaults, numbers and an owner', async () => {
    const client = await connect()
    const lead = await createOne(client, 'Lead', { Status: null })
    expect(client.org.record(lead?.id ?? '')).toMatchObject({
      Status: 'Open - Not Contacted',
      DoNotCall: false,
      OwnerId: client.org.user('integration@writeback.example')?.id,
      IsDeleted: false,
    })
    const cases = [await createOne(client, 'Case', {}), await createOne(client, 'Case', {})]
    expect(cases.map((item) => client.org.record(item?.id ?? '')?.CaseNumber)).toEqual([
      '00000001',
      '00000002',
    ])
  })
})

describe('values', () => {
  it.each([
    ['Account', { Industry: 'Magic' }, 'INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST', 'Industry'],
    ['Lead', { Status: 'Magic' }, 'INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST', 'Status'],
    ['Opportunity', { StageName: 'Magic' }, 'INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST', 'StageName'],
    ['Contact', { LastName: 'x'.repeat(81) }, 'STRING_TOO_LONG', 'LastName'],
    ['Contact', { Email: 'a@b' }, 'INVALID_EMAIL_ADDRESS', 'Email'],
    ['Contact', { Email: 'a b@c.example' }, 'INVALID_EMAIL_ADDRESS', 'Email'],
    ['Contact', { Score__c: 123456789 }, 'NUMBER_OUTSIDE_VALID_RANGE', 'Score__c'],
    ['Contact', { Score__c: 'many' }, 'INVALID_TYPE_ON_FIELD_IN_RECORD', 'Score__c'],
    ['Account', { NumberOfEmployees: 1.5 }, 'INVALID_TYPE_ON_FIELD_IN_RECORD', 'NumberOfEmployees'],
    ['Contact', { DoNotCall: 'maybe' }, 'INVALID_TYPE_ON_FIELD_IN_RECORD', 'DoNotCall'],
    ['Contact', { Birthdate: '2026-02-30' }, 'INVALID_TYPE_ON_FIELD_IN_RECORD', 'Birthdate'],
    ['Contact', { Synced_At__c: 'yesterday' }, 'INVALID_TYPE_ON_FIELD_IN_RECORD', 'Synced_At__c'],
    ['Contact', { Title: { a: 1 } }, 'INVALID_TYPE_ON_FIELD_IN_RECORD', 'Title'],
    ['Contact', { AccountId: 'nonsense' }, 'MALFORMED_ID', 'AccountId'],
    ['Contact', { AccountId: '003000000000001AAA' }, 'MALFORMED_ID', 'AccountId'],
    ['Contact', { AccountId: '001000000000001AAA' }, 'INVALID_CROSS_REFERENCE_KEY', 'AccountId'],
    ['Contact', { CreatedDate: '2026-01-01T00:00:00Z' }, 'INVALID_FIELD_FOR_INSERT_UPDATE', 'CreatedDate'],
    [
      'Contact',
      { SystemModstamp: '2026-01-01T00:00:00Z' },
      'INVALID_FIELD_FOR_INSERT_UPDATE',
      'SystemModstamp',
    ],
    ['Contact', { Name: 'Ada Lovelace' }, 'INVALID_FIELD_FOR_INSERT_UPDATE', 'Name'],
    ['Contact', { Notes__c: 'please REJECT me' }, 'FIELD_CUSTOM_VALIDATION_EXCEPTION', 'Notes__c'],
  ])('%s %j: %s', async (type, fields, statusCode, field) => {
    const client = await connect()
    const item = await createOne(client, type, fields)
    expect(item?.errors).toMatchObject([{ statusCode, fields: [field] }])
    expect(item?.errors[0]?.message).not.toBe('')
    expect(client.org.count(type)).toBe(0)
  })

  it.each([
    ['Contact', { lastname: 'Grace' }, { LastName: 'Grace' }],
    ['Contact', { DoNotCall: 'true' }, { DoNotCall: true }],
    ['Contact', { DoNotCall: null }, { DoNotCall: false }],
    ['Contact', { Score__c: '1.239' }, { Score__c: 1.24 }],
    ['Contact', { Title: '' }, { Title: null }],
    ['Contact', { Title: 7 }, { Title: '7' }],
    ['Contact', { Birthdate: '2024-02-29' }, { Birthdate: '2024-02-29' }],
    [
      'Contact',
      { Synced_At__c: '2026-01-01T01:00:00+0100' },
      { Synced_At__c: '2026-01-01T00:00:00.000+0000' },
    ],
    ['Contact', { Salutation: 'Sir' }, { Salutation: 'Sir' }],
  ])('%s takes %j', async (type, fields, stored) => {
    const client = await connect()
    const item = await createOne(client, type, fields)
    expect(item?.errors).toEqual([])
    expect(client.org.record(item?.id ?? '')).toMatchObject(stored)
  })

  it('cannot clear what is required', async () => {
    const client = await connect()
    const id = client.org.create('Contact', { LastName: 'Ada' })
    const [item] = await client.items('PATCH', '', { records: [record('Contact', { id, LastName: null })] })
    expect(codes(item)).toEqual(['REQUIRED_FIELD_MISSING'])
    expect(client.org.record(id)?.LastName).toBe('Ada')
  })
})

describe('references', () => {
  it('are kept in 18 characters, and can be named by external id', async () => {
    const client = await connect()
    const account = client.org.create('Account', { Name: 'Acme', External_Id__c: 'acme' })
    const byId = await createOne(client, 'Contact', { AccountId: account.slice(0, 15) })
    const byKey = await createOne(client, 'Contact', { Account: { External_Id__c: 'ACME' } })
    const custom = await createOne(client, 'Invoice__c', { Account__r: { External_Id__c: 'acme' } })
    const many = await createOne(client, 'Task', { WhatId: custom?.id, WhoId: byId?.id })
    expect(client.org.record(byId?.id ?? '')?.AccountId).toBe(account)
    expect(client.org.record(byKey?.id ?? '')?.AccountId).toBe(account)
    expect(client.org.record(custom?.id ?? '')?.Account__c).toBe(account)
    expect(many?.success).toBe(true)
  })

  it('fail by an external id that nobody has, or a field that is none', async () => {
    const client = await connect()
    for (const Account of [{ External_Id__c: 'nobody' }, { Nope: 'x' }]) {
      expect(codes(await createOne(client, 'Contact', { Account }))).toEqual(['INVALID_FIELD'])
    }
  })
})

describe('unique fields', () => {
  const make = (client: Client, fields: object): Promise<Item | undefined> =>
    createOne(client, 'Contact', fields)

  it('clash with the record that has the value, in any case unless the field minds it', async () => {
    const client = await connect()
    const id = client.org.create('Contact', { LastName: 'a', External_Id__c: 'k', Case_Key__c: 'k' })
    expect((await make(client, { External_Id__c: 'K' }))?.errors[0]).toEqual({
      statusCode: 'DUPLICATE_VALUE',
      message: `duplicate value found: External_Id__c duplicates value on record with id: ${id}`,
      fields: ['External_Id__c'],
    })
    expect((await make(client, { Case_Key__c: 'K' }))?.success).toBe(true)
    expect(codes(await make(client, { Case_Key__c: 'k' }))).toEqual(['DUPLICATE_VALUE'])
  })

  it('are free again after an update or a delete, and taken after both', async () => {
    const client = await connect()
    const id = client.org.create('Contact', { LastName: 'a', External_Id__c: 'one' })
    await client.call('PATCH', `sobjects/Contact/${id}`, { External_Id__c: 'two' })
    const second = await make(client, { External_Id__c: 'one' })
    expect(second?.success).toBe(true)
    expect(codes(await make(client, { External_Id__c: 'two' }))).toEqual(['DUPLICATE_VALUE'])
    await client.call('DELETE', `sobjects/Contact/${id}`)
    expect((await make(client, { External_Id__c: 'two' }))?.success).toBe(true)
    expect(client.org.find('Contact', 'External_Id__c', 'one').map((found) => found.Id)).toEqual([second?.id])
  })

  it('clash inside one request too, where the first one wins', async () => {
    const client = await connect()
    const items = await client.items('POST', '', {
      records: ['a', 'b'].map((LastName) => record('Contact', { LastName, Write_Id__c: 'same' })),
    })
    expect(items.map((item) => codes(item)[0])).toEqual([undefined, 'DUPLICATE_VALUE'])
    expect(items[1]?.errors[0]?.message).toContain(items[0]?.id)
  })
})

describe('a value that sinks its whole request', () => {
  it('is named by its place, and nothing is written', async () => {
    const client = await connect()
    client.org.settings.badValueSinksRequest = true
    const text =
      '{"records":[{"attributes":{"type":"Contact"},"LastName":"a \\" ] b"},' +
      '{"attributes":{"type":"Contact"},"LastName":"b","Synced_At__c":"soon"}]}'
    const reply = await client.call('POST', 'composite/sobjects', text)
    const column = text.indexOf('"soon"') + 1
    expect(reply).toMatchObject({
      status: 400,
      body: [
        {
          errorCode: 'JSON_PARSER_ERROR',
          message:
            'Cannot deserialize instance of datetime from VALUE_STRING value soon or request may be missing ' +
            `a required field at [line:1, column:${column}]`,
        },
      ],
    })
    expect(client.org.count('Contact')).toBe(0)
    const single = await client.call('POST', 'sobjects/Contact', { LastName: 'a', Score__c: true })
    expect(single).toMatchObject({ status: 400, body: [{ errorCode: 'JSON_PARSER_ERROR' }] })
  })
})
