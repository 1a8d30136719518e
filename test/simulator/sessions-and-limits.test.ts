import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { connect, contacts, postToken, refreshForm, request } from './client.ts'

describe('sessions', () => {
  it.each([
    ['no header', undefined, 'INVALID_SESSION_ID'],
    ['an unknown token', 'Bearer 00Dnope', 'INVALID_SESSION_ID'],
    ['a malformed header', 'Basic abc', 'INVALID_AUTH_HEADER'],
  ])('refuse %s with 401, uncounted and without executing anything', async (_, header, errorCode) => {
    const client = await connect()
    const url = `${client.url}/services/data/v60.0/sobjects/Contact`
    const reply = await request(
      'POST',
      url,
      { LastName: 'x' },
      header === undefined ? {} : { Authorization: header },
    )
    expect(reply).toMatchObject({ status: 401, body: [{ errorCode }] })
    expect(client.org.count('Contact')).toBe(0)
    expect(client.org.apiUsed).toBe(0)
  })

  it('say exactly what Salesforce says when they end', async () => {
    const client = await connect()
    client.org.sessions.expireAll()
    expect(await client.call('GET', 'limits')).toMatchObject({
      status: 401,
      body: [{ message: 'Session expired or invalid', errorCode: 'INVALID_SESSION_ID' }],
    })
  })

  it('slide with use and end without it', async () => {
    const client = await connect({ sessionSeconds: 900 })
    client.org.advanceTime(800_000)
    expect((await client.call('GET', 'limits')).status).toBe(200)
    client.org.advanceTime(800_000)
    expect((await client.call('GET', 'limits')).status).toBe(200)
    client.org.advanceTime(901_000)
    expect((await client.call('GET', 'limits')).status).toBe(401)
    const again = (await postToken(client.url, refreshForm())).body as { access_token: string }
    client.token = again.access_token
    expect((await client.call('GET', 'limits')).status).toBe(200)
  })
})

describe('limits', () => {
  it('counts each call once, failed ones too, and says so on every answer', async () => {
    const client = await connect({ dailyApiLimit: 100 })
    const first = await client.call('POST', 'composite/sobjects', { records: contacts(200) })
    expect(first.headers.get('sforce-limit-info')).toBe('api-usage=1/100')
    const failed = await client.call('GET', 'sobjects/Contact/003000000000000AAA')
    expect([failed.status, failed.headers.get('sforce-limit-info')]).toEqual([404, 'api-usage=2/100'])
    const limits = await client.call('GET', 'limits')
    expect(limits.body).toMatchObject({ DailyApiRequests: { Max: 100, Remaining: 97 } })
  })

  it('refuses with 403 and writes nothing once the day is used up', async () => {
    const client = await connect({ dailyApiLimit: 1 })
    await client.call('GET', 'limits')
    const reply = await client.call('POST', 'sobjects/Contact', { LastName: 'x' })
    expect(reply).toMatchObject({
      status: 403,
      body: [{ message: 'TotalRequests Limit exceeded.', errorCode: 'REQUEST_LIMIT_EXCEEDED' }],
    })
    expect(reply.headers.get('sforce-limit-info')).toBe('api-usage=1/1')
    expect(client.org.count('Contact')).toBe(0)
    expect((await postToken(client.url, refreshForm())).status).toBe(200)
  })
})

describe('versions', () => {
  it('are listed without a session', async () => {
    const client = await connect()
    const list = (await request('GET', `${client.url}/services/data`)).body as {
      version: string
      label: string
    }[]
    expect(list.find((entry) => entry.version === '67.0')?.label).toBe("Summer '26")
    expect(list.at(-1)).toMatchObject({ version: '68.0', label: "Winter '27", url: '/services/data/v68.0' })
  })

  it.each([
    ['v20.0', 410, 'UNSUPPORTED_API_VERSION'],
    ['v30.0', 410, 'UNSUPPORTED_API_VERSION'],
    ['v31.0', 200, undefined],
    ['v99.0', 404, 'NOT_FOUND'],
  ])('%s answers %i', async (version, status, errorCode) => {
    const client = await connect()
    const reply = await client.call('GET', `/services/data/${version}/sobjects`)
    expect(reply.status).toBe(status)
    if (errorCode) expect(reply.body).toMatchObject([{ errorCode }])
  })

  it('have collections from 42 and their upsert from 46', async () => {
    const client = await connect()
    const body = { records: [{ attributes: { type: 'Contact' }, LastName: 'x', External_Id__c: 'e' }] }
    const statusAt = async (version: number, path: string, method: string): Promise<number> =>
      (await client.call(method, `/services/data/v${version}.0/composite/sobjects${path}`, body)).status
    expect(await statusAt(41, '', 'POST')).toBe(404)
    expect(await statusAt(45, '/Contact/External_Id__c', 'PATCH')).toBe(404)
    expect(await statusAt(46, '/Contact/External_Id__c', 'PATCH')).toBe(200)
  })
})

describe('requests that fit nothing', () => {
  it.each([
    ['GET', 'nothing', 404, 'NOT_FOUND'],
    ['GET', 'sobjects/Nothing__c/describe', 404, 'NOT_FOUND'],
    ['POST', 'sobjects/Nothing__c', 404, 'NOT_FOUND'],
    ['PUT', 'sobjects/Contact', 405, 'METHOD_NOT_ALLOWED'],
    ['GET', 'composite/sobjects', 405, 'METHOD_NOT_ALLOWED'],
    ['PATCH', 'sobjects/Contact/External_Id__c/', 404, 'NOT_FOUND'],
  ])('%s %s answers %i', async (method, path, status, errorCode) => {
    const client = await connect()
    const reply = await client.call(method, path, method === 'GET' ? undefined : {})
    expect(reply).toMatchObject({ status, body: [{ errorCode }] })
    if (status === 405) expect(reply.headers.get('allow')).toBeTruthy()
  })

  it('answers 415 to other content, and 400 to broken JSON, writing nothing', async () => {
    const client = await connect()
    const text = await client.call('POST', 'sobjects/Contact', 'LastName=x', { 'Content-Type': 'text/plain' })
    expect(text).toMatchObject({ status: 415, body: [{ errorCode: 'UNSUPPORTED_MEDIA_TYPE' }] })
    const broken = await client.call('POST', 'sobjects/Contact', '{"LastName":\n "x"')
    expect(broken).toMatchObject({ status: 400, body: [{ errorCode: 'JSON_PARSER_ERROR' }] })
    expect((broken.body as { message: string }[])[0]?.message).toContain('[line:2, column:5]')
    const list = await client.call('POST', 'sobjects/Contact', '[]')
    expect(list).toMatchObject({ status: 400, body: [{ errorCode: 'JSON_PARSER_ERROR' }] })
    const empty = await client.call('POST', 'composite/sobjects')
    expect(empty).toMatchObject({ status: 400, body: [{ errorCode: 'JSON_PARSER_ERROR' }] })
    expect(client.org.count('Contact')).toBe(0)
  })

  it('answers 414 and 431 to what is too long', async () => {
    const client = await connect()
    expect((await client.call('GET', `limits?x=${'y'.repeat(16_400)}`)).status).toBe(414)
    expect((await client.call('GET', 'limits', undefined, { 'X-Long': 'y'.repeat(16_400) })).status).toBe(431)
  })
})

describe('packed bodies', () => {
  const json = JSON.stringify({ LastName: 'Packed' })
  it.each([
    ['gzip', gzipSync(json)],
    ['deflate', deflateSync(json)],
    ['deflate', deflateRawSync(json)],
  ])('are read as %s', async (encoding, body) => {
    const client = await connect()
    const reply = await client.call('POST', 'sobjects/Contact', new Uint8Array(body), {
      'Content-Encoding': encoding,
    })
    expect(reply.status).toBe(201)
    expect(client.org.records('Contact')).toMatchObject([{ LastName: 'Packed' }])
  })

  it('are refused when they are not what they say', async () => {
    const client = await connect()
    const headers = { 'Content-Encoding': 'gzip' }
    expect((await client.call('POST', 'sobjects/Contact', json, headers)).status).toBe(400)
  })
})
