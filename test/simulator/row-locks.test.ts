import { describe, expect, it } from 'vitest'
import type { Gate } from '../../src/simulator/start.ts'
import { codes, connect, record } from './client.ts'
import type { Client, Item, Reply } from './client.ts'

const lockMessage = (id: string): string =>
  `unable to obtain exclusive access to this record or 1 records: ${id}`

interface Scene extends Client {
  /** Acme, which a write in flight holds through its contact Held. */
  account: string
  other: string
  contact: string
  gate: Gate
  held: Promise<Reply>
}

/** A contact of Acme is being updated; the request waits at a gate, `when` it is executed. */
async function scene(when: 'before' | 'after' = 'before'): Promise<Scene> {
  const client = await connect()
  const { org } = client
  org.settings.lockParents = true
  const account = org.create('Account', { Name: 'Acme', External_Id__c: 'acme' })
  const other = org.create('Account', { Name: 'Other' })
  const contact = org.create('Contact', { LastName: 'Held', AccountId: account, External_Id__c: 'held' })
  const gate = org.faults.hold({ recordMatches: { field: 'Title', value: 'held' } }, when)
  const held = client.call('PATCH', `sobjects/Contact/${contact}`, { Title: 'held' })
  await gate.arrived
  return { ...client, account, other, contact, gate, held }
}

/** Lets the held write go and waits for its end. */
async function finish({ gate, held }: Scene): Promise<void> {
  gate.release()
  expect((await held).status).toBe(204)
}

const create = (client: Client, type: string, fields: Record<string, unknown>): Promise<Item[]> =>
  client.items('POST', '', { records: [record(type, fields)] })

const deal = { Name: 'Deal', StageName: 'Prospecting', CloseDate: '2026-01-01' }

describe('a row held by a write in flight', () => {
  it.each(['before', 'after'] as const)('locks out others until its end (gate %s)', async (when) => {
    const client = await scene(when)
    const [item] = await create(client, 'Contact', { LastName: 'x', AccountId: client.account })
    expect(item?.errors).toEqual([
      { statusCode: 'UNABLE_TO_LOCK_ROW', message: lockMessage(client.account), fields: [] },
    ])
    await finish(client)
    expect((await create(client, 'Contact', { LastName: 'x', AccountId: client.account }))[0]?.success).toBe(
      true,
    )
  })

  it('is the parent of each kind of child, by id and by external id', async () => {
    const client = await scene()
    const { account, other } = client
    const items = await client.items('POST', '', {
      records: [
        record('Opportunity', { ...deal, AccountId: account }),
        record('Opportunity', { ...deal, accountid: account.slice(0, 15) }),
        record('Case', { Account: { External_Id__c: 'acme' } }),
        record('Task', { WhatId: account, ActivityDate: '2026-01-01' }),
        record('Task', { WhoId: client.contact, ActivityDate: '2026-01-01' }),
        // An open task without a date, and a completed one, lock nothing.
        record('Task', { WhatId: account }),
        record('Task', { WhatId: account, ActivityDate: '2026-01-01', Status: 'Completed' }),
        record('Opportunity', { ...deal, AccountId: other }),
        record('Lead', { LastName: 'x', Company: 'y' }),
        record('Invoice__c', { Account__c: account }),
      ],
    })
    expect(items.map((item) => codes(item)[0] === 'UNABLE_TO_LOCK_ROW')).toEqual([
      ...Array<boolean>(5).fill(true),
      ...Array<boolean>(5).fill(false),
    ])
    await finish(client)
  })

  it('is the record itself and its parent, in updates, upserts and deletes', async () => {
    const client = await scene()
    const { account, other, contact } = client
    const update = (id: string, type: string, fields: object): Promise<Item[]> =>
      client.items('PATCH', '', { records: [record(type, { id, ...fields })] })
    expect(codes((await update(account, 'Account', { Phone: '1' }))[0])).toEqual(['UNABLE_TO_LOCK_ROW'])
    expect(codes((await update(contact, 'Contact', { AccountId: other }))[0])).toEqual(['UNABLE_TO_LOCK_ROW'])
    expect((await update(other, 'Account', { Phone: '1' }))[0]?.success).toBe(true)
    const upsert = await client.items('PATCH', '/Contact/External_Id__c', {
      records: [record('Contact', { External_Id__c: 'HELD', Department: 'x' })],
    })
    expect(codes(upsert[0])).toEqual(['UNABLE_TO_LOCK_ROW'])
    const removed = await client.items('DELETE', `?ids=${contact},${other}`)
    expect(removed.map((item) => codes(item)[0])).toEqual(['UNABLE_TO_LOCK_ROW', undefined])
    const single = await client.call('DELETE', `sobjects/Contact/External_Id__c/held`)
    expect(single).toMatchObject({ status: 400, body: [{ errorCode: 'UNABLE_TO_LOCK_ROW' }] })
    await finish(client)
    expect(client.org.record(contact)).toMatchObject({ AccountId: account, Department: null, Title: 'held' })
  })

  it('locks out the records of composite subrequests, and a composite call holds rows too', async () => {
    const client = await scene()
    const composite = (name: string, AccountId: string): Promise<Reply> =>
      client.call('POST', 'composite', {
        compositeRequest: [
          {
            referenceId: 'a',
            method: 'POST',
            url: '/services/data/v60.0/composite/sobjects',
            body: { records: [record('Contact', { LastName: name, AccountId })] },
          },
        ],
      })
    expect((await composite('x', client.account)).body).toMatchObject({
      compositeResponse: [{ body: [{ errors: [{ statusCode: 'UNABLE_TO_LOCK_ROW' }] }] }],
    })
    const gate = client.org.faults.hold({ operation: 'composite' })
    const second = composite('y', client.other)
    await gate.arrived
    const reply = await client.call('PATCH', `sobjects/Account/${client.other}`, { Phone: '1' })
    expect(reply).toMatchObject({
      status: 400,
      body: [{ errorCode: 'UNABLE_TO_LOCK_ROW', message: lockMessage(client.other) }],
    })
    gate.release()
    expect((await second).body).toMatchObject({ compositeResponse: [{ body: [{ success: true }] }] })
    await finish(client)
  })

  it('fails only its own records, or the whole call under lockFailsBatch', async () => {
    const client = await scene()
    const records = [
      record('Contact', { LastName: 'free' }),
      record('Contact', { LastName: 'locked', AccountId: client.account }),
    ]
    const results = async (): Promise<(string | undefined)[]> =>
      (await client.items('POST', '', { records })).map((item) => codes(item)[0])
    expect(await results()).toEqual([undefined, 'UNABLE_TO_LOCK_ROW'])
    client.org.settings.lockFailsBatch = true
    expect(await results()).toEqual(['UNABLE_TO_LOCK_ROW', 'UNABLE_TO_LOCK_ROW'])
    await finish(client)
  })

  it('is waited for as long as lockWaitMs says', async () => {
    const client = await scene()
    client.org.settings.lockWaitMs = 30
    const fields = { LastName: 'x', AccountId: client.account }
    const before = performance.now()
    expect(codes((await create(client, 'Contact', fields))[0])).toEqual(['UNABLE_TO_LOCK_ROW'])
    expect(performance.now() - before).toBeGreaterThanOrEqual(28)
    client.org.settings.lockWaitMs = 60_000
    const waiting = create(client, 'Contact', fields)
    await finish(client)
    expect((await waiting)[0]?.success).toBe(true)
  })

  it('is nobody’s business unless lockParents is on', async () => {
    const client = await scene()
    client.org.settings.lockParents = false
    const fields = { LastName: 'x', AccountId: client.account }
    expect((await create(client, 'Contact', fields))[0]?.success).toBe(true)
    await finish(client)
  })
})

describe('requests with latency', () => {
  it('hold their rows meanwhile, and each group may have the same row many times', async () => {
    const client = await connect()
    const { settings } = client.org
    const account = client.org.create('Account', { Name: 'Acme' })
    settings.lockParents = true
    settings.latencyMs = 20
    const pair = (): Promise<Item[]> =>
      client.items('POST', '', {
        records: ['a', 'b'].map((LastName) => record('Contact', { LastName, AccountId: account })),
      })
    const outcomes = (await Promise.all([pair(), pair()])).map((items) =>
      items.map((item) => codes(item)[0] ?? 'saved'),
    )
    expect(outcomes.toSorted()).toEqual([
      ['UNABLE_TO_LOCK_ROW', 'UNABLE_TO_LOCK_ROW'],
      ['saved', 'saved'],
    ])
    expect((await pair()).map((item) => item.success)).toEqual([true, true])
  })
})
