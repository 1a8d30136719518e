import { afterEach, beforeEach, expect, it } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { startDispatcher, type DispatchSettings } from '../../src/notify/dispatcher.ts'
import { createPoster } from '../../src/notify/post-message.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startRelay } from '../support/relay.ts'
import { waitUntil } from '../support/wait-until.ts'
import { startReceiver, type Receiver } from './receiver.ts'
import { plainCipher, projectWith, putEvents } from './rows.ts'

let database: TestDatabase
let at: Receiver
let ends: (() => Promise<unknown>)[]

beforeEach(async () => {
  ends = []
  database = await createTestDatabase()
  at = await startReceiver()
})
afterEach(async () => {
  for (const end of ends.reverse()) await end()
  await at.close()
  await database.drop()
})

/** A process that sends, on a way of its own to the database. */
async function dispatch(settings: Partial<DispatchSettings> = {}, timeoutMs = 15_000, url = database.url) {
  const sql = connect({ url, max: 4 })
  const poster = createPoster({ policy: { allowInsecure: true }, clock: systemClock, timeoutMs })
  const parts = { sql, poster, cipher: plainCipher, clock: systemClock, logger: silentLogger }
  const dispatcher = await startDispatcher({
    ...parts,
    random: () => 0,
    settings: { pollMs: 50, ...settings },
  })
  ends.push(() => sql.end({ timeout: 5 }))
  ends.push(() => poster.close())
  ends.push(() => dispatcher.stop(1_000))
  return dispatcher
}

const delivered = async (): Promise<number> => {
  const [row] = await database.sql<[{ count: number }]>`
    select count(*)::int as count from notification where state = 'delivered'`
  return row.count
}

it('goes on when the database was away', async () => {
  const relay = await startRelay(database.url)
  ends.push(() => relay.stop())
  await dispatch({}, 15_000, relay.url)
  const destination = await projectWith(database.sql, { url: at.url })
  relay.cut()
  await putEvents(database.sql, destination, 20)
  relay.mend()
  await waitUntil(async () => (await delivered()) === 20, { timeoutMs: 15_000, what: 'every delivery' })
})

it('has no more under way than it has slots, and a hanging receiver keeps none for ever', async () => {
  const [hangs, works] = [await startReceiver(), at]
  ends.push(() => hangs.close())
  hangs.behave(() => 'hang')
  const slow = await projectWith(database.sql, { url: hangs.url })
  const dispatcher = await dispatch({ slots: 3 }, 200)
  await putEvents(database.sql, slow, 30)
  await hangs.until(3)
  expect(dispatcher.active).toBeLessThanOrEqual(3)
  expect(hangs.open).toBeLessThanOrEqual(3)
  const quick = await projectWith(database.sql, { url: works.url })
  await putEvents(database.sql, quick, 10)
  await waitUntil(async () => (await delivered()) === 10, { timeoutMs: 10_000, what: 'the others' })
  expect(works.got).toHaveLength(10)
})

it('tries again by itself', async () => {
  let calls = 0
  at.behave(() => ((calls += 1) < 3 ? 500 : 204))
  const destination = await projectWith(database.sql, { url: at.url })
  await putEvents(database.sql, destination, 1)
  await dispatch({ retry: { firstSeconds: 0.2, factor: 1, maxSeconds: 1 } })
  await waitUntil(async () => (await delivered()) === 1, { timeoutMs: 10_000, what: 'the delivery' })
  expect(at.got).toHaveLength(3)
  expect(new Set(at.got.map(({ id, text }) => `${id} ${text}`)).size).toBe(1)
})
