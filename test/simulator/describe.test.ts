import { describe, expect, it } from 'vitest'
import { connect, record } from './client.ts'

type Described = { fields: Record<string, unknown>[] } & Record<string, unknown>

describe('describe', () => {
  it('lists the objects', async () => {
    const client = await connect()
    const { body } = await client.call('GET', 'sobjects')
    expect(body).toMatchObject({ encoding: 'UTF-8', maxBatchSize: 200 })
    const { sobjects } = body as { sobjects: { name: string }[] }
    expect(sobjects.map((object) => object.name)).toEqual(
      expect.arrayContaining([
        'Account',
        'Contact',
        'Lead',
        'Opportunity',
        'Quote',
        'Case',
        'Task',
        'Invoice__c',
      ]),
    )
    expect(sobjects.find((object) => object.name === 'Invoice__c')).toMatchObject({
      label: 'Invoice',
      keyPrefix: 'a00',
      custom: true,
      createable: true,
      updateable: true,
      deletable: true,
      queryable: true,
    })
  })

  it('shows every property of a field that callers rely on', async () => {
    const client = await connect()
    const body = (await client.call('GET', 'sobjects/contact/describe')).body as Described
    expect(body).toMatchObject({ name: 'Contact', keyPrefix: '003', recordTypeInfos: [{ master: true }] })
    const properties =
      'name,label,type,length,precision,scale,custom,externalId,idLookup,unique,caseSensitive,createable,updateable,' +
      'nillable,defaultedOnCreate,calculated,autoNumber,referenceTo,relationshipName,picklistValues,restrictedPicklist,' +
      'dependentPicklist,controllerName,soapType'
    for (const field of body.fields)
      expect(Object.keys(field)).toEqual(expect.arrayContaining(properties.split(',')))
    const fields = Object.fromEntries(body.fields.map((field) => [field.name as string, field]))
    expect(fields.External_Id__c).toMatchObject({
      externalId: true,
      unique: true,
      caseSensitive: false,
      length: 255,
    })
    expect(fields.Case_Key__c).toMatchObject({ externalId: true, unique: true, caseSensitive: true })
    expect(fields.Region_Key__c).toMatchObject({ externalId: true, unique: false })
    expect(fields.Email).toMatchObject({ type: 'email', idLookup: true, externalId: false })
    expect(fields.AccountId).toMatchObject({
      type: 'reference',
      referenceTo: ['Account'],
      relationshipName: 'Account',
    })
    expect(fields.DoNotCall).toMatchObject({ nillable: false, defaultedOnCreate: true })
    const required = body.fields.filter((f) => f.createable && !f.nillable && !f.defaultedOnCreate)
    expect(required.map((field) => field.name)).toEqual(['LastName'])
  })

  it('shows picklists with their default', async () => {
    const client = await connect()
    const body = (await client.call('GET', 'sobjects/Lead/describe')).body as Described
    const status = body.fields.find((field) => field.name === 'Status')
    expect(status).toMatchObject({ restrictedPicklist: true })
    const values = status?.picklistValues as { value: string; active: boolean; defaultValue: boolean }[]
    expect(values.filter((value) => value.defaultValue).map((value) => value.value)).toEqual([
      'Open - Not Contacted',
    ])
    expect(values.every((value) => value.active)).toBe(true)
  })

  it('answers 304 to who has seen it, until the schema changes', async () => {
    const client = await connect()
    const first = await client.call('GET', 'sobjects/Lead/describe')
    const seen = { 'If-Modified-Since': first.headers.get('last-modified') ?? '' }
    expect((await client.call('GET', 'sobjects/Lead/describe', undefined, seen)).status).toBe(304)
    client.org.advanceTime(2000)
    client.org.defineObject({ name: 'Thing__c', fields: [] })
    expect((await client.call('GET', 'sobjects/Lead/describe', undefined, seen)).status).toBe(200)
    const wrong = await client.call('GET', 'sobjects', undefined, { 'If-Modified-Since': 'soon' })
    expect(wrong.status).toBe(400)
  })
})

describe('objects defined later', () => {
  it('have their own prefix, fields and rules besides the common ones', async () => {
    const client = await connect()
    const { keyPrefix } = client.org.defineObject({
      name: 'Ticket__c',
      fields: [{ name: 'Seats__c', type: 'int', nillable: false }],
      validationRules: [{ message: 'Too many seats.', fails: (values) => Number(values.Seats__c) > 5 }],
    })
    expect(keyPrefix).toBe('a01')
    const items = await client.items('POST', '', {
      records: [
        { Seats__c: 2, External_Id__c: 'k' },
        {},
        { Seats__c: 6 },
        { Seats__c: 1, Notes__c: 'REJECT' },
      ].map((fields) => record('Ticket__c', fields)),
    })
    expect(items.map((item) => item.errors[0]?.message)).toEqual([
      undefined,
      'Required fields are missing: [Seats__c]',
      'Too many seats.',
      'Notes must not say REJECT.',
    ])
    expect(items[0]?.id?.startsWith('a01')).toBe(true)
  })
})
