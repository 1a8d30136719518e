import { once } from 'node:events'
import { Socket } from 'node:net'
import postgres from 'postgres'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createListener } from '../../src/db/listener.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitUntil } from '../support/wait-until.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase({ empty: true })
})
afterAll(() => database.drop())

async function openSocket(): Promise<Socket> {
  const { hostname, port } = new URL(database.url)
  const socket = new Socket().connect(Number(port), hostname)
  await once(socket, 'connect')
  return socket
}

it('ends a subscription though the connection that it would be ended on is never made', async () => {
  const later: PromiseWithResolvers<Socket>[] = []
  let isFirst = true
  const socket = (): Promise<Socket> => {
    if (!isFirst) later.push(Promise.withResolvers())
    const opened = isFirst ? openSocket() : later.at(-1)!.promise
    isFirst = false
    return opened
  }
  const listener = createListener((callbacks) =>
    postgres(database.url, { max: 1, fetch_types: false, ...callbacks, ...{ socket } }),
  )
  const [one] = await Promise.all(['one', 'other'].map((name) => listener.listen(name, () => undefined)))
  await database.sql`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and query like 'listen%'`
  await waitUntil(() => later.length === 1, { timeoutMs: 5_000, what: 'another connection' })
  const ended = one!.unlisten()
  later[0]!.reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }))
  await expect(ended).resolves.toBeUndefined()
  await listener.end()
})
