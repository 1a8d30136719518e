import { describe, expect, it } from 'vitest'
import { connect, contacts, record } from './client.ts'
import type { Client, Item, Reply } from './client.ts'

interface Part {
  body: unknown
  httpHeaders: Record<string, string>
  httpStatusCode: number
  referenceId: string
}

const base = '/services/data/v60.0'

const subrequest = (referenceId: string, method: string, path: string, body?: unknown): object => ({
  referenceId,
  method,
  url: `${base}/${path}`,
  ...(body === undefined ? {} : { body }),
})

const post = (client: Client, compositeRequest: unknown, allOrNone = false): Promise<Reply> =>
  client.call('POST', 'composite', { allOrNone, compositeRequest })

const parts = (reply: Reply): Part[] => (reply.body as { compositeResponse: Part[] }).compositeResponse

describe('composite', () => {
  it('runs single and collections subrequests for one call', async () => {
    const client = await connect()
    const reply = await post(client, [
      subrequest('one', 'POST', 'sobjects/Account', { Name: 'Acme' }),
      subrequest('two', 'POST', 'composite/sobjects', { records: contacts(3) }),
      subrequest('three', 'PATCH', 'sobjects/Account/@{one.id}', { Phone: '1' }),
      subrequest('four', 'PATCH', 'composite/sobjects/Lead/External_Id__c', {
        records: [record('Lead', { External_Id__c: 'k', LastName: 'x', Company: 'y' })],
      }),
    ])
    expect(reply.status).toBe(200)
    expect(parts(reply).map((part) => [part.referenceId, part.httpStatusCode])).toEqual([
      ['one', 201],
      ['two', 200],
      ['three', 204],
      ['four', 200],
    ])
    expect(parts(reply)[0]?.httpHeaders.Location).toContain('/sobjects/Account/')
    expect(parts(reply)[2]?.body).toBeNull()
    expect(client.org.counts()).toMatchObject({ Account: 1, Contact: 3, Lead: 1 })
    expect(client.org.records('Account')[0]?.Phone).toBe('1')
    expect(client.org.apiUsed).toBe(1)
  })

  it('without allOrNone halts only what depends on a failure', async () => {
    const client = await connect()
    const reply = await post(client, [
      subrequest('bad', 'POST', 'sobjects/Account', {}),
      subrequest('child', 'POST', 'sobjects/Contact', { LastName: 'x', AccountId: '@{bad.id}' }),
      subrequest('other', 'POST', 'sobjects/Contact', { LastName: 'y' }),
    ])
    expect(parts(reply).map((part) => part.httpStatusCode)).toEqual([400, 400, 201])
    expect(parts(reply)[0]?.body).toMatchObject([{ errorCode: 'REQUIRED_FIELD_MISSING' }])
    expect(parts(reply)[1]?.body).toMatchObject([{ errorCode: 'PROCESSING_HALTED' }])
    expect(client.org.count('Contact')).toBe(1)
  })

  it('keeps the allOrNone of each collections subrequest to itself', async () => {
    const client = await connect()
    const mixed = [record('Contact', { LastName: 'a' }), record('Contact')]
    const reply = await post(client, [
      subrequest('strict', 'POST', 'composite/sobjects', { allOrNone: true, records: mixed }),
      subrequest('loose', 'POST', 'composite/sobjects', { allOrNone: false, records: mixed }),
    ])
    const successes = parts(reply).map((part) => (part.body as Item[]).map((item) => item.success))
    expect(successes).toEqual([
      [false, false],
      [true, false],
    ])
    expect(client.org.count('Contact')).toBe(1)
  })

  it('with allOrNone undoes all, though a collections part that had worked still says success', async () => {
    const client = await connect()
    const reply = await post(
      client,
      [
        subrequest('single', 'POST', 'sobjects/Account', { Name: 'Acme' }),
        subrequest('group', 'POST', 'composite/sobjects', { records: contacts(2) }),
        subrequest('culprit', 'POST', 'composite/sobjects', {
          records: [record('Lead'), record('Lead', { LastName: 'x', Company: 'y' })],
        }),
        subrequest('later', 'POST', 'sobjects/Account', { Name: 'Later' }),
      ],
      true,
    )
    expect(reply.status).toBe(200)
    expect(parts(reply).map((part) => part.httpStatusCode)).toEqual([400, 200, 200, 400])
    expect(parts(reply)[0]?.body).toEqual([
      {
        errorCode: 'PROCESSING_HALTED',
        message: 'The transaction was rolled back since another operation in the same transaction failed.',
      },
    ])
    expect((parts(reply)[1]?.body as Item[]).every((item) => item.success)).toBe(true)
    const culprits = (parts(reply)[2]?.body as Item[]).map((item) => item.errors[0]?.statusCode)
    expect(culprits).toEqual(['REQUIRED_FIELD_MISSING', 'ALL_OR_NONE_OPERATION_ROLLED_BACK'])
    expect(client.org.counts()).toMatchObject({ Account: 0, Contact: 0, Lead: 0 })
  })

  const single = (referenceId: string): object =>
    subrequest(referenceId, 'POST', 'sobjects/Contact', { LastName: 'x' })
  const many = (count: number, make: (name: string) => object): object[] =>
    Array.from({ length: count }, (_, i) => make(`r${i}`))

  it.each([
    ['26 subrequests', many(26, single)],
    ['none', []],
    [
      'six collections',
      many(6, (name) => subrequest(name, 'POST', 'composite/sobjects', { records: contacts(1) })),
    ],
    ['a repeated reference', [single('same'), single('same')]],
    ['a reference with other characters', [single('a-b')]],
    ['a header that is inherited', [{ ...single('a'), httpHeaders: { Authorization: 'Bearer x' } }]],
  ])('refuses %s as a whole', async (_, compositeRequest) => {
    const client = await connect()
    expect((await post(client, compositeRequest)).status).toBe(400)
    expect(client.org.count('Contact')).toBe(0)
  })

  it('answers a part that it does not allow, or that fits nothing, with an error of that part', async () => {
    const client = await connect()
    const reply = await post(client, [
      subrequest('a', 'GET', 'limits'),
      subrequest('b', 'GET', 'nothing'),
      { referenceId: 'c', method: 'GET', url: '/elsewhere' },
      subrequest('d', 'POST', 'sobjects/Contact', { LastName: '@{nobody.id}' }),
      single('e'),
    ])
    expect(parts(reply).map((part) => part.httpStatusCode)).toEqual([400, 404, 400, 400, 201])
  })

  const two = (): object[] => [
    subrequest('a', 'POST', 'composite/sobjects', { records: contacts(2) }),
    subrequest('b', 'POST', 'composite/sobjects', { records: contacts(1) }),
  ]

  it('leaves a subresponse out when a fault says so, though it was run', async () => {
    const client = await connect()
    for (const [index, left] of [
      [undefined, ['a']],
      [0, ['b']],
    ] as const) {
      client.org.faults.add({ action: { type: 'forgetPart', ...(index === undefined ? {} : { index }) } })
      expect(parts(await post(client, two())).map((part) => part.referenceId)).toEqual(left)
    }
    expect(client.org.count('Contact')).toBe(6)
  })

  it('can be answered with a server error after all of it was run', async () => {
    const client = await connect()
    const action = { type: 'status', canned: 'gatewayTimeoutHtml', when: 'after' } as const
    client.org.faults.add({ match: { operation: 'composite' }, action })
    expect((await post(client, two())).status).toBe(504)
    expect(client.org.count('Contact')).toBe(3)
  })

  it('takes time for each subrequest when told to', async () => {
    const client = await connect()
    client.org.settings.compositePartMs = 20
    await post(client, two())
    const [both = 0] = client.org.requests
      .list((entry) => entry.operation !== 'token')
      .map((entry) => (entry.endMs ?? 0) - entry.startMs)
    expect(both).toBeGreaterThanOrEqual(39)
  })
})
