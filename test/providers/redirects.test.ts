import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/kernel/log.ts'
import type { Provider, ProviderGroup } from '../../src/providers/provider.ts'
import { createSalesforceProvider } from '../../src/providers/salesforce/index.ts'
import { rawAnswer, startRawServer, type RawServer } from './raw-server.ts'

const limits = { timeoutMs: 20_000 }
const statuses = [301, 302, 303, 307, 308]
let status: number
let org: RawServer
/** Another host, which must never hear of us. */
let elsewhere: RawServer
let provider: Provider

beforeEach(async () => {
  elsewhere = await startRawServer(({ socket }) => socket.write(rawAnswer(200, '[]')))
  org = await startRawServer(({ socket }) =>
    socket.write(rawAnswer(status, '', { location: `${elsewhere.url}/services/data/v1` })),
  )
  provider = createSalesforceProvider({ logger: silentLogger, allowInsecure: true })
})
afterEach(async () => {
  await provider.close()
  await Promise.all([org.close(), elsewhere.close()])
})

const session = () => ({ accessToken: 'session-token', instanceUrl: org.url })
const group: ProviderGroup = {
  objectName: 'Contact',
  type: 'create',
  externalIdField: null,
  allOrNone: false,
  headers: [],
  records: ['{"LastName":"x"}'],
}
const read = { objectName: 'Contact', keyField: null, keys: ['003RM000006EncrYAC'], fields: ['Email'] }

describe.each(statuses)('an org that answers %i to another host', (given) => {
  beforeEach(() => {
    status = given
  })

  it.each<[string, () => Promise<unknown>]>([
    ['one group', () => provider.sendGroups(session(), [group], limits)],
    ['several groups', () => provider.sendGroups(session(), [group, group], limits)],
    ['a collision', () => provider.updateCollision(session(), group, 0, limits)],
    ['a read', () => provider.readFields(session(), read, limits)],
  ])('is not followed: %s', async (_, call) => {
    const answer = await call()
    expect(JSON.stringify(answer)).not.toContain('session-token')
    expect(org.requests.length).toBeGreaterThan(0)
    expect(elsewhere.requests).toEqual([])
  })

  it('is not followed: a session', async () => {
    const credentials = {
      type: 'oauth2-refresh-token',
      clientId: 'app',
      refreshToken: 'the-token',
      loginUrl: org.url,
    } as const
    await expect(provider.openSession(credentials, limits)).rejects.toThrow()
    expect(org.requests).toHaveLength(1)
    expect(elsewhere.requests).toEqual([])
  })
})

it('what is called is the instance of the session, whatever host the answer names', async () => {
  const named = {
    next: `${elsewhere.url}/next`,
    url: elsewhere.url,
    id: '003RM000006EncrYAC',
    success: true,
    errors: [],
  }
  await org.close()
  org = await startRawServer(({ socket }) =>
    socket.write(
      rawAnswer(200, JSON.stringify([named]), {
        'content-type': 'application/json',
        'content-location': elsewhere.url,
        refresh: `0; url=${elsewhere.url}`,
      }),
    ),
  )
  await provider.sendGroups(session(), [group], limits)
  await provider.readFields(session(), read, limits)
  expect(org.requests).toHaveLength(2)
  expect(elsewhere.requests).toEqual([])
})
