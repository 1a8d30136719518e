import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startWorker, type Worker } from '../../src/batcher/worker.ts'
import { connect, type Database } from '../../src/db/connect.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { startWakeups, type Wakeups } from '../../src/wakeups/wakeups.ts'
import type { TestDatabase } from '../support/database.ts'
import {
  claim,
  expectLanesTrue,
  incoming,
  laneIdOf,
  laneKey,
  refuseIllegalMoves,
} from '../support/queue-fixture.ts'
import { createServiceDatabase } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'
import { addWithWakeups, endLeases, heldProvider, runnerWith, states, steppedClock } from './fixture.ts'

let database: TestDatabase
let pool: Database
let serial: Database
let wakeups: Wakeups
let worker: Worker
const held = heldProvider()
const clock = steppedClock()

beforeAll(async () => {
  database = await createServiceDatabase()
  await refuseIllegalMoves(database.sql)
  pool = connect({ url: database.url, max: 6 })
  serial = connect({ url: database.url, max: 2 })
  wakeups = await startWakeups({ sql: pool, serial, logger: silentLogger, groupConcurrency: 4, worker: true })
  worker = startWorker({
    ...runnerWith(pool, held.provider, { clock }),
    wakeups,
    slots: 4,
    sweepIntervalMs: 1_000,
  })
})
afterAll(async () => {
  await worker.stop(0)
  await wakeups.stop()
  await pool.end({ timeout: 5 })
  await serial.end({ timeout: 5 })
  await database.drop()
})

/** Seconds that the lease of the lane's open batch still has. */
async function leaseOf(laneId: string): Promise<number> {
  const [row] = await database.sql<{ seconds: number }[]>`
    select extract(epoch from lease_until - now())::float8 as seconds
    from batch where lane_id = ${laneId} and state <> 'ended'`
  return row!.seconds
}

describe('the lease of a batch', () => {
  it('is kept for as long as its call runs, by its own worker only, and every lease in good time', async () => {
    const { sql } = database
    const lane = laneKey()
    const ids = await addWithWakeups(sql, wakeups.nudge, [incoming(lane, { delaySeconds: 0 })])
    const laneId = await laneIdOf(sql, lane)
    await waitUntil(
      () => {
        clock.step()
        return held.open === 1
      },
      { timeoutMs: 10_000, what: 'the call' },
    )
    // a batch of another process, which says nothing any more
    const other = laneKey()
    await addWithWakeups(sql, () => Promise.resolve(), [incoming(other, { delaySeconds: 0 })])
    const otherId = await laneIdOf(sql, other)
    await claim(sql, otherId)
    for (let heartbeat = 0; heartbeat < 3; heartbeat += 1) {
      await sql`update batch set lease_until = now() + interval '9 s' where state <> 'ended'`
      // One step is every timer once: the heartbeat among them, and a sweep that must find nothing to rescue.
      clock.step()
      await waitUntil(async () => (await leaseOf(laneId)) > 25, {
        timeoutMs: 5_000,
        what: 'the lease to be kept',
      })
      expect(await leaseOf(otherId)).toBeLessThan(10)
    }
    expect(await states(sql, ids)).toEqual(['sending 0'])
    held.answer()
    await waitUntil(async () => (await states(sql, ids))[0] === 'succeeded 1', {
      timeoutMs: 5_000,
      what: 'the answer to be recorded',
    })
    // the silent one is rescued; the heartbeat does not revive what has run out
    await endLeases(sql)
    await waitUntil(
      () => {
        clock.step()
        return held.open === 1
      },
      { timeoutMs: 10_000, what: 'the write of the silent process to be sent' },
    )
    held.answer()
    await waitUntil(async () => (await sql`select 1 from batch where state <> 'ended'`).length === 0, {
      timeoutMs: 5_000,
      what: 'every batch to be settled',
    })
    await expectLanesTrue(sql)
  })
})
