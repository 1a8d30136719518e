import { describe, expect, it } from 'vitest'
import { connect, record } from './client.ts'
import type { Client, Reply } from './client.ts'

interface Page {
  totalSize: number
  done: boolean
  nextRecordsUrl?: string
  records: Record<string, unknown>[]
}

const query = (client: Client, soql: string): Promise<Reply> =>
  client.call('GET', `query?q=${encodeURIComponent(soql)}`)

async function rows(client: Client, soql: string): Promise<Record<string, unknown>[]> {
  const reply = await query(client, soql)
  if (reply.status !== 200) throw new Error(JSON.stringify(reply.body))
  return (reply.body as Page).records
}

describe('a query', () => {
  it('answers the fields asked for, of the records that match, for one call', async () => {
    const client = await connect()
    const id = client.org.create('Contact', { LastName: 'Ada', External_Id__c: 'k1', Score__c: 2 })
    client.org.create('Contact', { LastName: 'Bob', External_Id__c: 'k2' })
    const reply = await query(
      client,
      "SELECT Id, LastName, score__c FROM contact WHERE External_Id__c = 'K1'",
    )
    expect(reply).toMatchObject({ status: 200 })
    expect(reply.body).toEqual({
      totalSize: 1,
      done: true,
      records: [
        {
          attributes: { type: 'Contact', url: `/services/data/v60.0/sobjects/Contact/${id}` },
          Id: id,
          LastName: 'Ada',
          Score__c: 2,
        },
      ],
    })
    expect(client.org.apiUsed).toBe(1)
    expect(reply.headers.get('sforce-limit-info')).toBe('api-usage=1/5000000')
    expect(client.org.requests.list().at(-1)).toMatchObject({
      operation: 'query',
      objects: ['Contact'],
      keys: ['K1'],
      apiCalls: 1,
    })
  })

  it('without a condition takes all records, with a limit the first of them', async () => {
    const client = await connect()
    for (const LastName of ['A', 'B', 'C']) client.org.create('Contact', { LastName })
    expect(await rows(client, 'select LastName from Contact')).toHaveLength(3)
    const two = await rows(client, 'SELECT LastName FROM Contact LIMIT 2')
    expect(two.map((row) => [row.LastName, 'Id' in row])).toEqual([
      ['A', false],
      ['B', false],
    ])
  })

  it.each([
    ["LastName IN ('ada', 'nobody')", ['Ada']],
    ["Case_Key__c = 'abc'", ['Ada']],
    ["Case_Key__c = 'ABC'", []],
    ['Score__c = 1.5', ['Ada']],
    ['Score__c IN (1.5, 7)', ['Ada', "O'Brien \\"]],
    ['Score__c = null', ['Zoe']],
    ['DoNotCall = true', ['Zoe']],
    ["LastName = 'O\\'Brien \\\\'", ["O'Brien \\"]],
    ["LastName = '\\u0041da'", ['Ada']],
    ["LastName != 'ada'", ["O'Brien \\", 'Zoe']],
    ["LastName NOT IN ('ada', 'zoe')", ["O'Brien \\"]],
    ["LastName LIKE '%o%'", ["O'Brien \\", 'Zoe']],
    ["LastName LIKE '_da'", ['Ada']],
    ["LastName LIKE '\\_da'", []],
    ['Score__c > 1.5', ["O'Brien \\"]],
    ['Score__c >= 1.5 AND Score__c < 7', ['Ada']],
    ["LastName = 'Zoe' OR Score__c <= 1.5", ['Ada', 'Zoe']],
    ["(LastName = 'Zoe' OR LastName = 'Ada') AND NOT DoNotCall = true", ['Ada']],
    ["CreatedDate > 2000-01-01T00:00:00Z AND LastName = 'Ada'", ['Ada']],
    ['CreatedDate < 2000-01-01T00:00:00Z', []],
    ['LastName != null ORDER BY LastName DESC LIMIT 2', ['Zoe', "O'Brien \\"]],
    ['LastName != null ORDER BY Score__c, LastName', ['Zoe', 'Ada', "O'Brien \\"]],
  ])('finds by %s', async (condition, names) => {
    const client = await connect()
    client.org.create('Contact', { LastName: 'Ada', Case_Key__c: 'abc', Score__c: 1.5 })
    client.org.create('Contact', { LastName: "O'Brien \\", Score__c: 7 })
    client.org.create('Contact', { LastName: 'Zoe', DoNotCall: true })
    const found = await rows(client, `SELECT LastName FROM Contact WHERE ${condition}`)
    expect(found.map((row) => row.LastName)).toEqual(names)
  })

  it('finds by id in either length, and by reference', async () => {
    const client = await connect()
    const AccountId = client.org.create('Account', { Name: 'Acme' })
    const id = client.org.create('Contact', { LastName: 'Ada', AccountId })
    for (const condition of [`Id = '${id.slice(0, 15)}'`, `AccountId IN ('${AccountId.slice(0, 15)}')`]) {
      expect(await rows(client, `SELECT Id FROM Contact WHERE ${condition}`)).toMatchObject([{ Id: id }])
    }
  })

  it.each([
    ['SELECT', 'MALFORMED_QUERY'],
    ['', 'MALFORMED_QUERY'],
    ['SELECT Id, FROM Contact', 'MALFORMED_QUERY'],
    ['SELECT Id FROM Contact WHERE Id', 'MALFORMED_QUERY'],
    ["SELECT Id FROM Contact WHERE LastName = 'open", 'MALFORMED_QUERY'],
    ["SELECT Id FROM Contact WHERE LastName = 'a\nb'", 'MALFORMED_QUERY'],
    ["SELECT Id FROM Contact WHERE LastName = '\\q'", 'MALFORMED_QUERY'],
    ['SELECT Id FROM Contact WHERE LastName IN ()', 'MALFORMED_QUERY'],
    ['SELECT Id FROM Contact LIMIT x', 'MALFORMED_QUERY'],
    ["SELECT Id FROM Contact WHERE Id = 'a' AND Id = 'b' OR Id = 'c'", 'MALFORMED_QUERY'],
    ['SELECT Id FROM Contact nonsense extra', 'MALFORMED_QUERY'],
    ['SELECT Id, Nothing__c FROM Contact', 'INVALID_FIELD'],
    ["SELECT Id FROM Contact WHERE Nothing__c = 'x'", 'INVALID_FIELD'],
    ["SELECT Id FROM Contact WHERE Score__c = '1'", 'INVALID_FIELD'],
    ['SELECT Id FROM Contact WHERE LastName = 1', 'INVALID_FIELD'],
    ['SELECT Id FROM Nothing__c', 'INVALID_TYPE'],
  ])('that is wrong is refused: %j %s', async (soql, errorCode) => {
    const client = await connect()
    expect(await query(client, soql)).toMatchObject({ status: 400, body: [{ errorCode }] })
  })

  it('says which way a number and a text are to be written', async () => {
    const client = await connect()
    const messages = await Promise.all(
      ["Score__c = '1'", 'LastName = 1'].map(async (condition) => {
        const reply = await query(client, `SELECT Id FROM Contact WHERE ${condition}`)
        return (reply.body as { message: string }[])[0]?.message
      }),
    )
    expect(messages).toEqual([
      "value of filter criterion for field 'Score__c' must be of type double and should not be enclosed in quotes",
      "value of filter criterion for field 'LastName' must be of type string and should be enclosed in quotes",
    ])
  })

  it('comes in pages of the size that is set, each a call', async () => {
    const client = await connect()
    client.org.settings.queryPageSize = 2
    for (const LastName of ['A', 'B', 'C', 'D', 'E']) client.org.create('Contact', { LastName })
    const names: unknown[] = []
    let path: string | undefined = `query?q=${encodeURIComponent('SELECT LastName FROM Contact')}`
    while (path !== undefined) {
      const page: Page = (await client.call('GET', path)).body as Page
      expect([page.totalSize, page.done]).toEqual([5, page.nextRecordsUrl === undefined])
      names.push(...page.records.map((row) => row.LastName))
      path = page.nextRecordsUrl
    }
    expect(names).toEqual(['A', 'B', 'C', 'D', 'E'])
    expect(client.org.apiUsed).toBe(3)
    expect((await client.call('GET', 'query/01g000000000000AAA-2')).status).toBe(404)
  })

  it('runs in a composite call, and counts among its collections', async () => {
    const client = await connect()
    const url = `/services/data/v60.0/query?q=${encodeURIComponent('SELECT LastName FROM Contact')}`
    const part = (referenceId: string): object => ({ method: 'GET', url, referenceId })
    const write = {
      method: 'POST',
      url: '/services/data/v60.0/composite/sobjects',
      referenceId: 'w',
      body: { records: [record('Contact', { LastName: 'New' })] },
    }
    const reply = await client.call('POST', 'composite', { compositeRequest: [write, part('a')] })
    expect(reply.body).toMatchObject({
      compositeResponse: [
        { httpStatusCode: 200 },
        { httpStatusCode: 200, body: { records: [{ LastName: 'New' }] } },
      ],
    })
    const six = ['a', 'b', 'c', 'd', 'e'].map(part)
    expect((await client.call('POST', 'composite', { compositeRequest: [write, ...six] })).status).toBe(400)
  })
})
