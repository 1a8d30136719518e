import { describe, expect, it } from 'vitest'
import { connect, record, request } from './client.ts'
import type { Client, Item } from './client.ts'

const lead = { LastName: 'Ada', Company: 'Engines' }
const ruleId = '01Q000000000001EAA'

/** Creates a lead and tells what the rule made of its notes. */
async function notesOf(client: Client, autoAssign?: string): Promise<unknown> {
  const headers: Record<string, string> = autoAssign === undefined ? {} : { 'Sforce-Auto-Assign': autoAssign }
  const reply = await client.call('POST', 'composite/sobjects', { records: [record('Lead', lead)] }, headers)
  return client.org.record((reply.body as Item[])[0]?.id ?? '')?.Notes__c
}

async function withRule(): Promise<Client> {
  const client = await connect()
  const assign = { field: 'notes__c', value: 'assigned' }
  client.org.defineAssignmentRule({ object: 'Lead', id: ruleId.slice(0, 15), assign })
  return client
}

describe('an active assignment rule', () => {
  it.each([
    [undefined, 'assigned'],
    ['TRUE', 'assigned'],
    ['true', 'assigned'],
    [ruleId, 'assigned'],
    [ruleId.slice(0, 15), 'assigned'],
    ['FALSE', null],
    ['false', null],
    ['01Q000000000002EAA', null],
  ])('under Sforce-Auto-Assign %s: %s', async (header, expected) => {
    expect(await notesOf(await withRule(), header)).toBe(expected)
  })

  it('runs on single creates and upserts that create, not on other objects', async () => {
    const client = await withRule()
    await client.call('POST', 'sobjects/Lead', lead)
    await client.call('PATCH', 'sobjects/Lead/External_Id__c/k1', lead)
    await client.items('PATCH', '/Lead/External_Id__c', {
      records: [record('Lead', { ...lead, External_Id__c: 'k2' })],
    })
    expect(client.org.records('Lead').map((found) => found.Notes__c)).toEqual(Array(3).fill('assigned'))
    const contact = client.org.create('Contact', { LastName: 'x' })
    expect(client.org.record(contact)?.Notes__c).toBeNull()
  })

  it('runs on updates only when it says so, and never there by its id', async () => {
    const client = await connect()
    const id = client.org.create('Lead', lead)
    const update = async (autoAssign: string): Promise<unknown> => {
      await client.call(
        'PATCH',
        `sobjects/Lead/${id}`,
        { Title: 'x', Notes__c: 'mine' },
        { 'Sforce-Auto-Assign': autoAssign },
      )
      return client.org.record(id)?.Notes__c
    }
    const assign = { field: 'Notes__c', value: 'assigned' }
    client.org.defineAssignmentRule({ object: 'Lead', id: ruleId, assign })
    expect(await update('TRUE')).toBe('mine')
    client.org.defineAssignmentRule({ object: 'Lead', id: ruleId, assign, onUpdate: true })
    expect(await update('FALSE')).toBe('mine')
    expect(await update(ruleId)).toBe('mine')
    expect(await update('TRUE')).toBe('assigned')
  })

  it('takes the headers of each composite subrequest, not those of the call unless told to', async () => {
    const client = await withRule()
    const part = (referenceId: string, httpHeaders: object): object => ({
      referenceId,
      method: 'POST',
      url: '/services/data/v60.0/composite/sobjects',
      body: { records: [record('Lead', lead)] },
      httpHeaders,
    })
    const notes = async (): Promise<unknown[]> => {
      const compositeRequest = [part('a', { 'sforce-auto-assign': 'FALSE' }), part('b', {})]
      const reply = await client.call(
        'POST',
        'composite',
        { compositeRequest },
        { 'Sforce-Auto-Assign': 'FALSE' },
      )
      const { compositeResponse } = reply.body as { compositeResponse: { body: Item[] }[] }
      return compositeResponse.map(({ body }) => client.org.record(body[0]?.id ?? '')?.Notes__c)
    }
    expect(await notes()).toEqual([null, 'assigned'])
    client.org.settings.compositeHeadersCascade = true
    expect(await notes()).toEqual([null, null])
  })
})

describe('assignment rules', () => {
  it('are one active at a time; another one runs by its id', async () => {
    const client = await withRule()
    client.org.defineAssignmentRule({ object: 'Lead', assign: { field: 'Notes__c', value: 'newer' } })
    expect(await notesOf(client)).toBe('newer')
    expect(await notesOf(client, ruleId)).toBe('assigned')
    client.org.defineAssignmentRule({
      object: 'Lead',
      id: ruleId,
      active: false,
      assign: { field: 'Notes__c', value: 'changed' },
    })
    expect(await notesOf(client)).toBe('newer')
    expect(await notesOf(client, ruleId)).toBe('changed')
  })

  it('come and go by admin calls', async () => {
    const client = await connect()
    const admin = `${client.url}/__admin`
    const rule = { object: 'Lead', id: ruleId, assign: { field: 'Notes__c', value: 'by admin' } }
    const reply = await request('POST', `${admin}/rules/assignment`, rule)
    expect(reply.body).toEqual({
      assignment: [
        {
          id: ruleId,
          object: 'Lead',
          active: true,
          onUpdate: false,
          field: 'Notes__c',
          value: 'by admin',
        },
      ],
      duplicate: [],
    })
    expect(await notesOf(client)).toBe('by admin')
    await request('POST', `${admin}/reset`)
    expect((await request('GET', `${admin}/rules`)).body).toEqual({ assignment: [], duplicate: [] })
  })

  it.each([
    [{ object: 'Contact', assign: { field: 'Notes__c', value: 'x' } }],
    [{ object: 'Lead', assign: { field: 'Nope__c', value: 'x' } }],
    [{ object: 'Lead', assign: { field: 'Write_Id__c', value: 'x' } }],
    [{ object: 'Lead', assign: { field: 'Score__c', value: 'many' } }],
    [{ object: 'Lead', id: 'nonsense', assign: { field: 'Notes__c', value: 'x' } }],
    [{ object: 'Lead' }],
  ])('%j is refused with the reason', async (rule) => {
    const client = await connect()
    const reply = await request('POST', `${client.url}/__admin/rules/assignment`, rule)
    expect(reply.status).toBe(400)
    expect((reply.body as { error: string }).error).not.toBe('')
  })
})
