import { describe, expect, it } from 'vitest'
import type { DuplicateRuleInput } from '../../src/simulator/start.ts'
import { codes, connect, record, request } from './client.ts'
import type { Client, Item, Reply } from './client.ts'

const rule: DuplicateRuleInput = {
  object: 'Contact',
  name: 'Same_Person',
  fields: ['Email', 'LastName'],
  action: 'alert',
}
const ada = { LastName: 'Ada', Email: 'ada@example.com' }
const twin = { LastName: 'ADA', Email: 'Ada@Example.com' }

/** An org with Ada in it and a rule against a second one. */
async function withRule(changes: Partial<DuplicateRuleInput> = {}): Promise<Client & { id: string }> {
  const client = await connect()
  const id = client.org.create('Contact', ada)
  client.org.defineDuplicateRule({ ...rule, ...changes })
  return { ...client, id }
}

const saving = (value: string): Record<string, string> => ({ 'Sforce-Duplicate-Rule-Header': value })

const createTwin = (client: Client, header?: string, version = 60): Promise<Reply> =>
  client.call(
    'POST',
    `/services/data/v${version}.0/sobjects/Contact`,
    twin,
    header === undefined ? {} : saving(header),
  )

describe('a duplicate rule', () => {
  it('refuses a single record with what matched', async () => {
    const client = await withRule()
    const reply = await createTwin(client)
    const message = 'Use one of these records?'
    expect([reply.status, reply.body]).toEqual([
      400,
      [
        {
          errorCode: 'DUPLICATES_DETECTED',
          message,
          duplicateResult: {
            allowSave: true,
            duplicateRule: 'Same_Person',
            duplicateRuleEntityType: 'Contact',
            errorMessage: message,
            matchResults: [
              {
                entityType: 'Contact',
                errors: [],
                matchEngine: 'ExactMatchEngine',
                matchRecords: [
                  {
                    additionalInformation: [],
                    fieldDiffs: [],
                    matchConfidence: 100,
                    record: {
                      attributes: {
                        type: 'Contact',
                        url: `/services/data/v60.0/sobjects/Contact/${client.id}`,
                      },
                      Id: client.id,
                    },
                  },
                ],
                rule: 'Same_Person',
                size: 1,
                success: true,
              },
            ],
          },
        },
      ],
    ])
    expect(client.org.count('Contact')).toBe(1)
  })

  it('refuses records of a collections call without what matched', async () => {
    const client = await withRule({ message: 'We know this one.' })
    const items = await client.items('POST', '', {
      records: [record('Contact', twin), record('Contact', { ...twin, LastName: 'Other' })],
    })
    expect(items).toEqual([
      {
        success: false,
        errors: [{ statusCode: 'DUPLICATES_DETECTED', message: 'We know this one.', fields: [] }],
      },
      { id: items[1]?.id, success: true, errors: [] },
    ])
  })

  it.each([
    ['alert', undefined, 400],
    ['alert', 'allowSave=false', 400],
    ['alert', 'allowSave=true', 201],
    ['alert', 'allowsave=TRUE; runAsCurrentUser=true;', 201],
    ['alert', 'includeRecordDetails=true', 400],
    ['block', undefined, 400],
    ['block', 'allowSave=true', 400],
  ] as const)('of kind %s under %s: %i', async (action, header, status) => {
    const client = await withRule({ action })
    const reply = await createTwin(client, header)
    expect(reply.status).toBe(status)
    const items = await client.call(
      'POST',
      'composite/sobjects',
      { records: [record('Contact', twin)] },
      header === undefined ? {} : saving(header),
    )
    expect((items.body as Item[])[0]?.success).toBe(status === 201)
    if (status === 400) {
      expect(reply.body).toMatchObject([{ duplicateResult: { allowSave: action === 'alert' } }])
    }
  })

  it('shows the fields of the matches when asked to', async () => {
    const client = await withRule()
    const reply = await createTwin(client, 'includeRecordDetails=true')
    expect(reply.body).toMatchObject([
      { duplicateResult: { matchResults: [{ matchRecords: [{ record: { Id: client.id, ...ada } }] }] } },
    ])
  })

  it.each([
    ['byVersion', 50, 'duplicateResut'],
    ['byVersion', 54, 'duplicateResut'],
    ['byVersion', 55, 'duplicateResult'],
    ['byVersion', 62, 'duplicateResult'],
    ['duplicateResut', 62, 'duplicateResut'],
    ['duplicateResult', 50, 'duplicateResult'],
  ] as const)('under %s spells the key in v%i %s', async (setting, version, key) => {
    const client = await withRule()
    client.org.settings.duplicateResultKey = setting
    const [error] = (await createTwin(client, undefined, version)).body as object[]
    expect(Object.keys(error ?? {})).toEqual(['errorCode', 'message', key])
  })

  it('looks at live records only, at other records only, and at no empty field', async () => {
    const client = await withRule()
    const update = (id: string, fields: object): Promise<Reply> =>
      client.call('PATCH', `sobjects/Contact/${id}`, fields)
    expect((await update(client.id, { Email: 'ADA@example.com' })).status).toBe(204)
    for (let i = 0; i < 2; i++) {
      expect((await client.call('POST', 'sobjects/Contact', { LastName: 'Ada' })).status).toBe(201)
    }
    const other = client.org.create('Contact', { LastName: 'Ada', Email: 'other@example.com' })
    expect((await update(other, { Email: 'ada@EXAMPLE.com' })).status).toBe(400)
    expect((await update(other, { Title: 'Dr' })).status).toBe(204)
    await client.call('DELETE', `sobjects/Contact/${client.id}`)
    expect((await update(other, { Email: 'ada@EXAMPLE.com' })).status).toBe(204)
    expect((await createTwin(client)).status).toBe(400)
  })

  it('is a culprit of allOrNone, and what was undone matches nothing', async () => {
    const client = await withRule()
    const fresh = { LastName: 'Grace', Email: 'grace@example.com' }
    const create = (records: object[]): Promise<Item[]> =>
      client.items('POST', '', { allOrNone: true, records })
    const items = await create([record('Contact', fresh), record('Contact', twin)])
    expect(items.map((item) => codes(item)[0])).toEqual([
      'ALL_OR_NONE_OPERATION_ROLLED_BACK',
      'DUPLICATES_DETECTED',
    ])
    expect((await create([record('Contact', fresh)]))[0]?.success).toBe(true)
  })

  it('can be set and seen by admin calls, and is gone after a reset', async () => {
    const client = await connect()
    const admin = `${client.url}/__admin`
    const reply = await request('POST', `${admin}/rules/duplicate`, { ...rule, fields: ['email'] })
    expect(reply.body).toMatchObject({
      duplicate: [{ object: 'Contact', name: 'Same_Person', fields: ['Email'], action: 'alert' }],
    })
    await client.call('POST', 'sobjects/Contact', ada)
    expect((await createTwin(client)).status).toBe(400)
    for (const wrong of [{ fields: ['Nope'] }, { fields: [] }, { object: 'Nope' }, { action: 'x' }]) {
      const refusal = await request('POST', `${admin}/rules/duplicate`, { ...rule, ...wrong })
      expect(refusal.status).toBe(400)
    }
    expect((await request('POST', `${admin}/rules/nope`, rule)).status).toBe(404)
    client.org.reset()
    client.org.create('Contact', ada)
    expect(client.org.create('Contact', twin)).toMatch(/^003/)
  })
})
