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
  await dispatch({ retry: { firstSeconds: 0.2, factor: 1, maxSeconds: 1, askedFirstSeconds: 1 } })
  await waitUntil(async () => (await delivered()) === 1, { timeoutMs: 10_000, what: 'the delivery' })
  expect(at.got).toHaveLength(3)
  expect(new Set(at.got.map(({ id, text }) => `${id} ${text}`)).size).toBe(1)
})

it('tries each message again in time, although the receiver hangs and a long backlog waits for it', async () => {
  at.behave(() => 'hang')
  const destination = await projectWith(database.sql, { url: at.url })
  await putEvents(database.sql, destination, 300)
  const timeoutMs = 200
  const delayMs = 100
  await dispatch(
    { retry: { firstSeconds: delayMs / 1000, factor: 100, maxSeconds: 600, askedFirstSeconds: 1 } },
    timeoutMs,
  )
  await waitUntil(() => timesOf(at).filter((times) => times.length > 1).length >= 20, {
    timeoutMs: 20_000,
    what: 'twenty first retries',
  })
  const gaps = timesOf(at).flatMap(([first, second]) => (second === undefined ? [] : [second - first!]))
  // Behind the backlog, two at a time, they would come after half a minute.
  expect(Math.max(...gaps)).toBeLessThan(timeoutMs + delayMs + 3_000)
})

/** When each message came, of its attempts in their order. */
const timesOf = ({ got }: Receiver): number[][] =>
  [...Map.groupBy(got, ({ id }) => id).values()].map((attempts) => attempts.map((one) => one.at))

it('leaves a receiver alone for as long as it asks, within bounds', async () => {
  const dueIn = async (attempts: number): Promise<number> => {
    let seconds = 0
    const read = async () => {
      const [row] = await database.sql<{ seconds: number }[]>`
        select extract(epoch from due_at - now())::float8 as seconds from notification
        where attempts = ${attempts} and claim_id is null`
      seconds = row?.seconds ?? 0
      return row !== undefined
    }
    await waitUntil(read, { timeoutMs: 10_000, what: `attempt ${attempts}` })
    return seconds
  }
  const asked = [
    { status: 429, retryAfter: '3600' },
    { status: 503, retryAfter: new Date(Date.now() + 40_000).toUTCString() },
    // Of other answers it says nothing of the next attempt.
    { status: 500, retryAfter: '3600' },
  ]
  at.behave(() => asked[at.got.length - 1] ?? 204)
  const destination = await projectWith(database.sql, { url: at.url })
  const [event] = await putEvents(database.sql, destination, 1)
  await dispatch({ retry: { firstSeconds: 1, factor: 1, maxSeconds: 600, askedFirstSeconds: 25 } })
  // The first retry comes within 30 s whatever is asked for.
  const next = () => database.sql`update notification set due_at = now() where id = ${event!}`
  const first = await dueIn(1)
  await next()
  const second = await dueIn(2)
  await next()
  const third = await dueIn(3)
  expect([first, second, third].map((seconds) => Math.ceil(seconds / 10) * 10)).toEqual([30, 40, 10])
  await next()
  await waitUntil(async () => (await delivered()) === 1, { timeoutMs: 10_000, what: 'the delivery' })
})
