import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startOutcomeWaiter } from '../../src/ingest/await-outcome.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { newId } from '../../src/kernel/ids.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { announceEnded } from '../../src/queue/outcome-channel.ts'
import { readEnded } from '../../src/queue/read.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addWrites,
  claim,
  incoming,
  incomingBatch,
  laneIdOf,
  laneKey,
  settle,
} from '../support/queue-fixture.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

/** A clock whose timers run only by hand, by how long they were set for. */
function manualClock(): Clock & { run: (ms: number) => void } {
  let timers: { ms: number; fn: () => void }[] = []
  return {
    now: () => 0,
    monotonic: () => 0,
    after: (ms, fn) => {
      const timer = { ms, fn }
      timers.push(timer)
      return () => (timers = timers.filter((one) => one !== timer))
    },
    run: (ms) => {
      const due = timers.filter((timer) => timer.ms === ms)
      timers = timers.filter((timer) => timer.ms !== ms)
      for (const { fn } of due) fn()
    },
  }
}

const start = (clock: Clock = manualClock()) =>
  startOutcomeWaiter({ sql: database.sql, clock, logger: silentLogger })

describe('waiting for outcomes', () => {
  it('is woken by the word that a commit gives, and only for the write it names', async () => {
    const waiter = await start()
    const [one, other] = [newId(), newId()]
    const waits = [waiter.wait(one, 1000), waiter.wait(one, 1000), waiter.wait(other, 1000)]
    expect(waiter.open).toBe(3)
    await database.sql.begin((tx) => announceEnded(tx, [one]))
    expect(await Promise.all([waits[0]!.ended, waits[1]!.ended])).toEqual([true, true])
    expect(waiter.open).toBe(1)
    waits[2]!.cancel()
    expect(await waits[2]!.ended).toBe(false)
    expect(waiter.open).toBe(0)
    await waiter.stop()
  })

  it('hears of 1,000 in one commit', async () => {
    const waiter = await start()
    const ids = Array.from({ length: 1_000 }, () => newId())
    const waits = ids.map((id) => waiter.wait(id, 1000).ended)
    await database.sql.begin((tx) => announceEnded(tx, ids))
    expect((await Promise.all(waits)).every(Boolean)).toBe(true)
    await waiter.stop()
  })

  it('finds what ended without a word of it', async () => {
    const clock = manualClock()
    const waiter = await start(clock)
    const lane = laneKey()
    const [id] = await addWrites(database.sql, [incoming(lane, { delaySeconds: 0 })])
    const wait = waiter.wait(id!, 5000)
    const { batch } = await claim(database.sql, await laneIdOf(database.sql, lane))
    await settle(database.sql, batch!, () => ({ state: 'succeeded' }))
    expect(waiter.open).toBe(1)
    clock.run(1000)
    expect(await wait.ended).toBe(true)
    await waiter.stop()
  })

  it('finds a caller-built batch only once the last of its records has ended', async () => {
    const clock = manualClock()
    const waiter = await start(clock)
    const submission = incomingBatch(laneKey(), [{}, {}])
    await addWrites(database.sql, [submission])
    const { id } = submission.operation
    const wait = waiter.wait(id, 5000)
    const { batch } = await claim(database.sql, await laneIdOf(database.sql, submission.lane))
    const parts = ['succeeded', 'queued'] as const
    await settle(database.sql, batch!, (index) => ({ state: parts[index]! }))
    expect(await readEnded(database.sql, [id, ...submission.writes.map((write) => write.id)])).toEqual([
      submission.writes[0]!.id,
    ])
    const again = await claim(database.sql, await laneIdOf(database.sql, submission.lane))
    await settle(database.sql, again.batch!, () => ({ state: 'failed' }))
    expect(waiter.open).toBe(1)
    clock.run(1000)
    expect(await wait.ended).toBe(true)
    await waiter.stop()
  })

  it('gives up in time, and lets everyone go when it stops', async () => {
    const clock = manualClock()
    const waiter = await start(clock)
    expect(await waiter.wait(newId(), 0).ended).toBe(false)
    const late = waiter.wait(newId(), 50)
    clock.run(50)
    expect(await late.ended).toBe(false)
    const open = waiter.wait(newId(), 60_000)
    await waiter.stop()
    expect(await open.ended).toBe(false)
    expect(await waiter.wait(newId(), 60_000).ended).toBe(false)
    expect(waiter.open).toBe(0)
  })
})
