import { describe, expect, it } from 'vitest'
import { connect, record } from './client.ts'
import type { Client, Item, Reply } from './client.ts'

const upsert = (client: Client, key: string, fields: Record<string, unknown>, field = 'External_Id__c') =>
  client.items('PATCH', `/Contact/${field}`, {
    records: [record('Contact', { [field]: key, LastName: 'x', ...fields })],
  })

const single = (client: Client, key: string, fields: Record<string, unknown>): Promise<Reply> =>
  client.call('PATCH', `sobjects/Contact/External_Id__c/${key}`, { LastName: 'x', ...fields })

/** Two upserts in flight: the first one waits at a gate while the second one is executed. */
async function race<T>(client: Client, first: () => Promise<T>, second: () => Promise<T>): Promise<[T, T]> {
  const gate = client.org.faults.hold({ recordMatches: { field: 'Title', value: 'slow' } })
  const slow = first()
  await gate.arrived
  const fast = await second()
  gate.release()
  return [await slow, fast]
}

async function racing(): Promise<Client> {
  const client = await connect()
  client.org.settings.upsertRace = true
  return client
}

describe('two upserts of one new key in flight', () => {
  it('fail the later one, which updates when it is sent again', async () => {
    const client = await racing()
    const [slow, fast] = await race(
      client,
      () => upsert(client, 'K', { Title: 'slow' }),
      () => upsert(client, 'k', { Title: 'fast' }),
    )
    expect(fast).toMatchObject([{ success: true, created: true }])
    const message = `duplicate value found: External_Id__c duplicates value on record with id: ${fast[0]?.id ?? ''}`
    expect(slow).toEqual([
      { success: false, errors: [{ statusCode: 'DUPLICATE_VALUE', message, fields: ['External_Id__c'] }] },
    ])
    expect(client.org.records('Contact').map((found) => found.Title)).toEqual(['fast'])
    const again = await upsert(client, 'K', { Title: 'slow' })
    expect(again).toMatchObject([{ success: true, created: false, id: fast[0]?.id }])
  })

  it('fail the later single call with 400', async () => {
    const client = await racing()
    const [slow, fast] = await race(
      client,
      () => single(client, 'k', { Title: 'slow' }),
      () => single(client, 'k', {}),
    )
    expect(fast.status).toBe(201)
    expect(slow).toMatchObject({ status: 400, body: [{ errorCode: 'DUPLICATE_VALUE' }] })
  })

  it('do not race for a key that was there before, or that is not unique, or when the winner saved nothing', async () => {
    const client = await racing()
    client.org.create('Contact', { LastName: 'x', External_Id__c: 'old' })
    const [old] = await race(
      client,
      () => upsert(client, 'old', { Title: 'slow' }),
      () => upsert(client, 'old', {}),
    )
    expect(old).toMatchObject([{ success: true, created: false }])
    const [region] = await race(
      client,
      () => upsert(client, 'north', { Title: 'slow' }, 'Region_Key__c'),
      () => upsert(client, 'north', {}, 'Region_Key__c'),
    )
    expect(region).toMatchObject([{ success: true, created: false }])
    const [slow, failed] = await race(
      client,
      () => upsert(client, 'new', { Title: 'slow' }),
      () => upsert(client, 'new', { Notes__c: 'REJECT' }),
    )
    expect(failed[0]?.success).toBe(false)
    expect(slow).toMatchObject([{ success: true, created: true }])
  })

  it('update in turn without the setting', async () => {
    const client = await connect()
    const [slow] = await race(
      client,
      () => upsert(client, 'k', { Title: 'slow' }),
      () => upsert(client, 'k', {}),
    )
    expect(slow).toMatchObject([{ success: true, created: false }])
  })

  it('are no race inside one composite call', async () => {
    const client = await racing()
    const part = (referenceId: string, Title: string): object => ({
      referenceId,
      method: 'PATCH',
      url: '/services/data/v60.0/composite/sobjects/Contact/External_Id__c',
      body: { records: [record('Contact', { External_Id__c: 'k', LastName: 'x', Title })] },
    })
    const reply = await client.call('POST', 'composite', {
      compositeRequest: [part('a', '1'), part('b', '2')],
    })
    const { compositeResponse } = reply.body as { compositeResponse: { body: Item[] }[] }
    expect(compositeResponse.map((answer) => answer.body[0]?.created)).toEqual([true, false])
  })
})
