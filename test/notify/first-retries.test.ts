import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import { claimMessages, type ClaimedMessage } from '../../src/notify/claim-messages.ts'
import { defaultDispatch, retryDelay } from '../../src/notify/dispatcher.ts'
import { TIMEOUT_MS } from '../../src/notify/post-message.ts'
import { settleFailed } from '../../src/notify/settle-message.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { projectWith, putEvents } from './rows.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const SLOTS = 6
/** Enough that every slot is always held, by one that hangs. */
const DESTINATIONS = 9
const EVENTS = 30
/** Seconds that are passed, a poll at a time. */
const SECONDS = 120
const STEP_SECONDS = defaultDispatch.pollMs / 1000
const { askedFirstSeconds } = defaultDispatch.retry

/** As if a time had passed: the tables' clock cannot be put forward, but what they hold can be put back. */
const pass = (seconds: number) => database.sql`
  update notification set due_at = due_at - make_interval(secs => ${seconds}),
    attempted_at = attempted_at - make_interval(secs => ${seconds})
  where state in ('new', 'waiting')`

/** Seconds from each message's first failure to its first retry, with every slot held by a receiver that hangs. */
async function waits(draw: () => number): Promise<number[]> {
  await database.sql`delete from notification`
  await database.sql`delete from destination`
  for (let n = 0; n < DESTINATIONS; n += 1)
    await putEvents(database.sql, await projectWith(database.sql), EVENTS)
  const underWay = new Map<ClaimedMessage, number>()
  const failedAt = new Map<string, number>()
  const found: number[] = []
  for (let now = 0; now < SECONDS; now += STEP_SECONDS) {
    for (const [message, begun] of underWay) {
      if (now - begun < TIMEOUT_MS / 1000) continue
      underWay.delete(message)
      const { id, claimId, attempts } = message
      if (attempts === 1) failedAt.set(id, now)
      await settleFailed(database.sql, {
        ...{ id, claimId, status: null, error: 'no answer', isGone: false },
        delaySeconds: retryDelay(attempts, defaultDispatch, draw()),
        askedSeconds: draw() < 0.5 ? askedFirstSeconds : 0,
      })
    }
    const limits = { ...defaultDispatch, slots: SLOTS - underWay.size }
    // The first of them come one after the other, as on a busy day.
    if (now < SLOTS * 2) limits.slots = Math.min(limits.slots, 1)
    const claimed = limits.slots === 0 ? [] : await claimMessages(database.sql, newId(), limits, null)
    for (const message of claimed) {
      underWay.set(message, now)
      if (message.attempts === 2) found.push(now - failedAt.get(message.id)!)
    }
    await pass(STEP_SECONDS)
  }
  // Those that are still waited for have waited so long already.
  const late = await database.sql<{ id: string }[]>`
    select id from notification where state = 'waiting' and attempts = 1 and claim_id is null`
  return [...found, ...late.map(({ id }) => SECONDS - failedAt.get(id)!)]
}

it('the first retry comes within 30 s although hanging receivers hold every slot', async () => {
  const seed = fc.sample(fc.integer({ min: 1, max: 2 ** 31 - 1 }), { numRuns: 1 })[0]!
  let state = seed
  const draw = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647
  const all = await waits(draw)
  expect(all.length).toBeGreaterThan(SLOTS * 3)
  expect(Math.max(...all), `seed ${seed}`).toBeLessThanOrEqual(30)
})
