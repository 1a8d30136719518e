import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connect, type Database } from '../../src/db/connect.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { newId } from '../../src/kernel/ids.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { startDispatcher, type Dispatcher } from '../../src/wakeups/dispatcher.ts'
import { startWakeups, type Wakeups } from '../../src/wakeups/wakeups.ts'
import { nextDueMs } from '../../src/queue/sweep.ts'
import type { TestDatabase } from '../support/database.ts'
import { addWithWakeups } from '../batcher/fixture.ts'
import { incoming, laneKey } from '../support/queue-fixture.ts'
import { createServiceDatabase } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

let database: TestDatabase
let serial: Database
let wakeups: Wakeups
let dispatchers: Dispatcher[]
const ran = new Map<string, number>()

beforeAll(async () => {
  database = await createServiceDatabase()
  serial = connect({ url: database.url, max: 2 })
  wakeups = await startWakeups({
    sql: database.sql,
    serial,
    logger: silentLogger,
    groupConcurrency: 100,
    worker: true,
  })
})
beforeEach(() => {
  dispatchers = []
  ran.clear()
})
afterEach(() => Promise.all(dispatchers.map((one) => one.stop(1_000))))
afterAll(async () => {
  await wakeups.stop()
  await serial.end({ timeout: 5 })
  await database.drop()
})

function dispatch(nextDue: () => Promise<number | null>): void {
  const dispatcher = startDispatcher({
    wakeups,
    run: (laneId) => {
      ran.set(laneId, Date.now())
      return Promise.resolve()
    },
    nextDueMs: nextDue,
    slots: 100,
    touchMs: 10_000,
    clock: systemClock,
    logger: silentLogger,
  })
  dispatchers.push(dispatcher)
}

/** Waits until every lane was run; how late each was, in milliseconds. */
async function lateness(lanes: { laneId: string; at: Date }[]): Promise<number[]> {
  await waitUntil(() => ran.size === lanes.length, { timeoutMs: 5_000, what: 'every wake-up' })
  return lanes.map(({ laneId, at }) => ran.get(laneId)! - at.getTime())
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

describe('wake-ups for times to come', () => {
  it('are run when they are due, within a poll of it, and never before', async () => {
    // nothing is known of lanes here: the poll alone has to do
    dispatch(() => Promise.resolve(null))
    const lanes = Array.from({ length: 20 }, (_, index) => ({
      laneId: newId(),
      installationId: newId(),
      at: new Date(Date.now() + 300 + index * 60),
    }))
    await database.sql.begin((tx) => wakeups.nudge(tx, lanes))
    const late = await lateness(lanes)
    expect(Math.min(...late)).toBeGreaterThanOrEqual(0)
    // the poll is every 500 ms; one that a busy machine held up says nothing of the others
    expect(median(late)).toBeLessThan(550)
    const left = async (): Promise<number> => (await database.sql`select 1 from pgboss.job`).length
    await waitUntil(async () => (await left()) === 0, { timeoutMs: 2_000, what: 'every job to be gone' })
  })

  it('are run well within the poll when a lane says when it is due', async () => {
    dispatch(() => nextDueMs(database.sql))
    const keys = Array.from({ length: 10 }, () => laneKey())
    await addWithWakeups(
      database.sql,
      wakeups.nudge,
      keys.map((key, index) => incoming(key, { delaySeconds: 0.5 + index * 0.1 })),
    )
    const lanes = await database.sql<{ laneId: string; at: Date }[]>`
      select id as "laneId", due_at as at from lane order by due_at`
    const late = await lateness([...lanes])
    expect(Math.min(...late)).toBeGreaterThanOrEqual(-1)
    // by the poll alone it would be 250 ms
    expect(median(late)).toBeLessThan(150)
  })
})
