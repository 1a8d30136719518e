import { describe, expect, it } from 'vitest'
import { codes, connect, contacts, record } from './client.ts'
import type { Client, Reply } from './client.ts'

const post = (client: Client, body: unknown): Promise<Reply> =>
  client.call('POST', 'composite/sobjects', body)

describe('answers of collections', () => {
  it('are items in request order, 200 and never 201, when all succeed', async () => {
    const client = await connect()
    const reply = await post(client, { records: contacts(200) })
    expect(reply.status).toBe(200)
    const items = reply.body as { id: string }[]
    expect(items.map((item) => client.org.record(item.id)?.LastName)).toEqual(
      contacts(200).map((contact) => contact.LastName),
    )
    expect(items[0]).toEqual({ id: items[0]?.id, success: true, errors: [] })
  })

  it('mix successes and failures under 200, with statusCode in the items', async () => {
    const client = await connect()
    const items = await client.items('POST', '', {
      allOrNone: false,
      records: [
        record('Contact', { LastName: 'a' }),
        record('Contact'),
        record('Lead', { LastName: 'c', Company: 'd' }),
      ],
    })
    expect(items.map((item) => item.success)).toEqual([true, false, true])
    expect(items[1]).toEqual({
      success: false,
      errors: [
        {
          statusCode: 'REQUIRED_FIELD_MISSING',
          message: 'Required fields are missing: [LastName]',
          fields: ['LastName'],
        },
      ],
    })
    expect(client.org.counts()).toMatchObject({ Contact: 1, Lead: 1 })
  })

  it('are 200 when all fail, and 400 with the same items under the fault for it', async () => {
    const client = await connect()
    const all = await post(client, { records: [record('Contact')] })
    expect([all.status, (all.body as unknown[]).length]).toEqual([200, 1])
    client.org.faults.add({ action: { type: 'allFailed400' } })
    const some = await post(client, { records: [record('Contact'), record('Contact', { LastName: 'a' })] })
    expect(some.status).toBe(200)
    const again = await post(client, { records: [record('Contact')] })
    expect([again.status, again.body]).toEqual([400, all.body])
    expect((await post(client, { records: [record('Contact')] })).status).toBe(200)
  })

  it('carry several errors for one record', async () => {
    const client = await connect()
    const [item] = await client.items('POST', '', {
      records: [record('Contact', { Email: 'nope', FirstName: 'x'.repeat(41) })],
    })
    expect(codes(item)).toEqual(['INVALID_EMAIL_ADDRESS', 'STRING_TOO_LONG', 'REQUIRED_FIELD_MISSING'])
  })
})

describe('refusals of a whole collections request', () => {
  it.each([
    ['no records', { records: [] }, 'REQUIRED_FIELD_MISSING', 'At least 1 record is required'],
    ['no list', {}, 'REQUIRED_FIELD_MISSING', 'At least 1 record is required'],
    ['a list that is none', { records: 'x' }, 'JSON_PARSER_ERROR', ''],
    ['a record that is none', { records: [7] }, 'JSON_PARSER_ERROR', ''],
    ['no attributes', { records: [{ LastName: 'x' }] }, 'INVALID_TYPE', ''],
    ['attributes without type', { records: [{ attributes: {}, LastName: 'x' }] }, 'INVALID_TYPE', ''],
    ['an unknown object', { records: [record('Nope__c')] }, 'INVALID_TYPE', "'Nope__c'"],
    [
      '201 records',
      { records: contacts(201) },
      'EXCEEDED_ID_LIMIT',
      'record limit reached. cannot submit more than 200 records into this call',
    ],
    [
      '11 chunks',
      {
        records: Array.from({ length: 11 }, (_, i) =>
          i % 2 ? record('Account', { Name: 'x' }) : record('Contact', { LastName: 'x' }),
        ),
      },
      'LIMIT_EXCEEDED',
      '10 chunks',
    ],
  ])('%s: 400 with errorCode, and nothing written', async (_, body, errorCode, message) => {
    const client = await connect()
    const reply = await post(client, body)
    expect(reply).toMatchObject({ status: 400, body: [{ errorCode }] })
    expect((reply.body as { message: string }[])[0]?.message).toContain(message)
    expect(client.org.counts()).toMatchObject({ Contact: 0, Account: 0 })
  })

  it('a contiguous run of one type is one chunk', async () => {
    const client = await connect()
    const ten = Array.from({ length: 10 }, (_, i) =>
      i % 2
        ? [record('Account', { Name: 'x' }), record('Account', { Name: 'y' })]
        : [record('Contact', { LastName: 'x' })],
    )
    const items = await client.items('POST', '', { records: ten.flat() })
    expect(items.every((item) => item.success)).toBe(true)
    expect(client.org.counts()).toMatchObject({ Account: 10, Contact: 5 })
  })
})

describe('allOrNone', () => {
  it('leaves no trace when one fails: the culprit keeps its error, the others get theirs', async () => {
    const client = await connect()
    const kept = client.org.create('Contact', { LastName: 'Kept', External_Id__c: 'kept', Title: 'before' })
    const items = await client.items('PATCH', '/Contact/External_Id__c', {
      allOrNone: true,
      records: [
        record('Contact', { External_Id__c: 'kept', Title: 'after', Write_Id__c: 'w1' }),
        record('Contact', { External_Id__c: 'new', LastName: 'New', Write_Id__c: 'w2' }),
        record('Contact', { External_Id__c: 'bad', LastName: 'Bad', Notes__c: 'REJECT' }),
      ],
    })
    const rolledBack = {
      statusCode: 'ALL_OR_NONE_OPERATION_ROLLED_BACK',
      message:
        'Record rolled back because not all records were valid and the request was using AllOrNone header',
      fields: [],
    }
    expect(items[0]).toEqual({ id: kept, success: false, errors: [rolledBack] })
    expect(items[1]).toEqual({ success: false, errors: [rolledBack] })
    expect(codes(items[2])).toEqual(['FIELD_CUSTOM_VALIDATION_EXCEPTION'])
    expect(client.org.records('Contact')).toMatchObject([{ Id: kept, Title: 'before', Write_Id__c: null }])

    const again = await client.items('POST', '', {
      records: [
        record('Contact', { LastName: 'a', Write_Id__c: 'w1' }),
        record('Contact', { LastName: 'b', Write_Id__c: 'w2' }),
      ],
    })
    expect(again.every((item) => item.success)).toBe(true)
  })

  it('commits when none fails', async () => {
    const client = await connect()
    await client.items('POST', '', { allOrNone: true, records: contacts(3) })
    expect(client.org.count('Contact')).toBe(3)
  })

  it('undoes deletions', async () => {
    const client = await connect()
    const id = client.org.create('Contact', { LastName: 'a', External_Id__c: 'k' })
    const items = await client.items('DELETE', `?ids=${id},nonsense&allOrNone=true`)
    expect(codes(items[0])).toEqual(['ALL_OR_NONE_OPERATION_ROLLED_BACK'])
    expect(codes(items[1])).toEqual(['MALFORMED_ID'])
    expect(client.org.find('Contact', 'External_Id__c', 'K')).toHaveLength(1)
  })
})

describe('update', () => {
  it('tells what is wrong with each id, and updates the rest', async () => {
    const client = await connect()
    const good = client.org.create('Contact', { LastName: 'Good' })
    const gone = client.org.create('Contact', { LastName: 'Gone' })
    const account = client.org.create('Account', { Name: 'Acme' })
    await client.items('DELETE', `?ids=${gone}`)
    const update = (id: unknown): Record<string, unknown> => record('Contact', { id, Title: 'x' })
    const items = await client.items('PATCH', '', {
      records: [
        update(undefined),
        update('nonsense'),
        update(account),
        update(gone),
        update('003000000000001AAA'),
        update(good),
      ],
    })
    expect(items.map((item) => codes(item)[0])).toEqual([
      'MISSING_ARGUMENT',
      'MALFORMED_ID',
      'MALFORMED_ID',
      'ENTITY_IS_DELETED',
      'INVALID_CROSS_REFERENCE_KEY',
      undefined,
    ])
    expect(items[0]?.errors[0]?.message).toBe('Id not specified in an update call')
    expect(items[5]).toEqual({ id: good, success: true, errors: [] })
    expect(client.org.record(good)?.Title).toBe('x')
  })

  it('names an unknown column, item by item', async () => {
    const client = await connect()
    const id = client.org.create('Contact', { LastName: 'a' })
    const [item] = await client.items('PATCH', '', { records: [record('Contact', { Id: id, nope__c: 1 })] })
    expect(item).toEqual({
      id,
      success: false,
      errors: [
        {
          statusCode: 'INVALID_FIELD',
          message: "No such column 'nope__c' on sobject of type Contact",
          fields: [],
        },
      ],
    })
  })

  it('fails every row of an id that stands twice, in whatever length', async () => {
    const client = await connect()
    const [a, b] = ['a', 'b'].map((name) => client.org.create('Contact', { LastName: name }))
    const items = await client.items('PATCH', '', {
      records: [a, a?.slice(0, 15), b].map((id) => record('Contact', { id, Title: 'x' })),
    })
    expect(items.map((item) => item.success)).toEqual([false, false, true])
    expect(items[0]?.errors[0]).toMatchObject({
      statusCode: 'DUPLICATE_VALUE',
      message: `Duplicate id specified: ${a ?? ''}`,
    })
    expect(client.org.record(a ?? '')?.Title).toBeNull()
  })
})

describe('upsert', () => {
  const path = '/Contact/External_Id__c'
  const upsert = (key: unknown, fields: object = {}): Record<string, unknown> =>
    record('Contact', { External_Id__c: key, ...fields })

  it('creates and updates, and says which', async () => {
    const client = await connect()
    const id = client.org.create('Contact', { LastName: 'Old', External_Id__c: 'old' })
    const items = await client.items('PATCH', path, {
      records: [upsert('OLD', { Title: 'x' }), upsert('new', { LastName: 'New' })],
    })
    expect(items.map((item) => item.created)).toEqual([false, true])
    expect(items[0]).toEqual({ id, success: true, errors: [], created: false })
    expect(client.org.record(id)).toMatchObject({ Title: 'x', External_Id__c: 'old' })
  })

  it('fails every row of a key that stands twice, in any case where the field ignores case', async () => {
    const client = await connect()
    const items = await client.items('PATCH', path, {
      records: ['k', 'K', 'other'].map((key) => upsert(key, { LastName: 'x' })),
    })
    expect(items.map((item) => item.success)).toEqual([false, false, true])
    expect(items[1]?.errors[0]).toMatchObject({
      statusCode: 'DUPLICATE_VALUE',
      message: 'Duplicate external id specified: K',
    })
    const exact = await client.items('PATCH', '/Contact/Case_Key__c', {
      records: ['k', 'K'].map((key) => record('Contact', { Case_Key__c: key, LastName: 'x' })),
    })
    expect(exact.map((item) => item.created)).toEqual([true, true])
  })

  it('needs the key and no id', async () => {
    const client = await connect()
    const id = client.org.create('Contact', { LastName: 'a' })
    const items = await client.items('PATCH', path, {
      records: [upsert(''), upsert(undefined), upsert('k', { LastName: 'x', Id: id })],
    })
    expect(items.map((item) => codes(item)[0])).toEqual([
      'MISSING_ARGUMENT',
      'MISSING_ARGUMENT',
      'INVALID_FIELD',
    ])
  })

  it('does not choose between several matches', async () => {
    const client = await connect()
    for (const LastName of ['a', 'b']) client.org.create('Contact', { LastName, Region_Key__c: 'north' })
    const items = await client.items('PATCH', '/Contact/Region_Key__c', {
      records: ['north', 'south', 'North'].map((key) =>
        record('Contact', { Region_Key__c: key, LastName: 'x' }),
      ),
    })
    expect(items.map((item) => codes(item)[0] ?? item.created)).toEqual(['DUPLICATE_EXTERNAL_ID', true, true])
  })

  it('works by Id', async () => {
    const client = await connect()
    const id = client.org.create('Contact', { LastName: 'a' })
    const items = await client.items('PATCH', '/Contact/Id', {
      records: [record('Contact', { Id: id, Title: 'x' }), record('Contact', { LastName: 'b' })],
    })
    expect(items.map((item) => item.created)).toEqual([false, true])
  })

  it('refuses another type, an unknown key and an unknown object as a whole', async () => {
    const client = await connect()
    const body = { records: [record('Lead', { External_Id__c: 'k', LastName: 'x', Company: 'y' })] }
    const statusOf = async (rest: string): Promise<number> =>
      (await client.call('PATCH', `composite/sobjects${rest}`, body)).status
    expect(await statusOf('/Contact/External_Id__c')).toBe(400)
    expect(await statusOf('/Lead/Title')).toBe(404)
    expect(await statusOf('/Nope__c/External_Id__c')).toBe(404)
    expect(client.org.count('Lead')).toBe(0)
  })
})

describe('delete and retrieve', () => {
  it('deletes records of several types, and says what it could not', async () => {
    const client = await connect()
    const contact = client.org.create('Contact', { LastName: 'a' })
    const account = client.org.create('Account', { Name: 'b' })
    const items = await client.items(
      'DELETE',
      `?ids=${contact},${account},nonsense,003000000000001AAA&allOrNone=false`,
    )
    expect(items[0]).toEqual({ id: contact, success: true, errors: [] })
    expect(items.map((item) => codes(item)[0])).toEqual([
      undefined,
      undefined,
      'MALFORMED_ID',
      'INVALID_CROSS_REFERENCE_KEY',
    ])
    const again = await client.items('DELETE', `?ids=${contact}`)
    expect(codes(again[0])).toEqual(['ENTITY_IS_DELETED'])
    expect(client.org.counts()).toMatchObject({ Contact: 0, Account: 0 })
  })

  it('deletes 200 in one call, not 201', async () => {
    const client = await connect()
    const ids = Array.from({ length: 201 }, (_, i) => client.org.create('Contact', { LastName: `n${i}` }))
    expect((await client.call('DELETE', `composite/sobjects?ids=${ids.join(',')}`)).status).toBe(400)
    expect(await client.items('DELETE', `?ids=${ids.slice(0, 200).join(',')}`)).toHaveLength(200)
    expect(client.org.count('Contact')).toBe(1)
  })

  it('retrieves by GET and POST, with null for what is missing', async () => {
    const client = await connect()
    const id = client.org.create('Contact', { LastName: 'a' })
    const expected = [{ attributes: expect.anything() as unknown, Id: id, LastName: 'a' }, null]
    const ids = [id, '003000000000001AAA']
    const get = await client.call('GET', `composite/sobjects/Contact?ids=${ids.join(',')}&fields=Id,LastName`)
    expect([get.status, get.body]).toEqual([200, expected])
    const byPost = await client.call('POST', 'composite/sobjects/Contact', { ids, fields: ['LastName'] })
    expect([byPost.status, byPost.body]).toEqual([200, expected])
    const wrong = await client.call('POST', 'composite/sobjects/Contact', { ids, fields: ['Nope'] })
    expect(wrong).toMatchObject({ status: 400, body: [{ errorCode: 'INVALID_FIELD' }] })
    const many = await client.call('POST', 'composite/sobjects/Contact', {
      ids: Array(2001).fill(id),
      fields: ['Id'],
    })
    expect(many).toMatchObject({ status: 400, body: [{ errorCode: 'EXCEEDED_ID_LIMIT' }] })
  })
})
