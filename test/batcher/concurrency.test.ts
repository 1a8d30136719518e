import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startWorker, type Worker } from '../../src/batcher/worker.ts'
import { connect } from '../../src/db/connect.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import { startWakeups, type Wakeups } from '../../src/wakeups/wakeups.ts'
import type { TestDatabase } from '../support/database.ts'
import { expectLanesTrue, incoming, laneKey, refuseIllegalMoves } from '../support/queue-fixture.ts'
import { createServiceDatabase } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'
import { addWithWakeups, handMadeProvider, heldProvider, runnerWith, sessionWith, states } from './fixture.ts'

/** Batches that an installation may have in flight. */
const LIMIT = 3

interface Process {
  worker: Worker
  wakeups: Wakeups
  stop: () => Promise<void>
}

let database: TestDatabase
let processes: Process[]
const slow = heldProvider()
const quick = handMadeProvider()
const held = laneKey()
const free = laneKey()

/** A worker with pools and listeners of its own, as in a process of its own. */
async function startProcess(): Promise<Process> {
  const pool = connect({ url: database.url, max: 6 })
  const serial = connect({ url: database.url, max: 2 })
  const wakeups = await startWakeups({
    sql: pool,
    serial,
    logger: silentLogger,
    groupConcurrency: LIMIT,
    worker: true,
  })
  const sessions = {
    open: (installationId: string) =>
      Promise.resolve(sessionWith(installationId === held.installationId ? slow.provider : quick)),
    refresh: () => Promise.reject(new Error('no session was refused')),
  }
  const worker = startWorker({
    ...runnerWith(pool, quick, { sessions }),
    wakeups,
    slots: 16,
    sweepIntervalMs: 200,
  })
  return {
    worker,
    wakeups,
    stop: async () => {
      await worker.stop(0)
      await wakeups.stop()
      await pool.end({ timeout: 5 })
      await serial.end({ timeout: 5 })
    },
  }
}

beforeAll(async () => {
  database = await createServiceDatabase()
  await refuseIllegalMoves(database.sql)
  processes = await Promise.all([startProcess(), startProcess()])
})
afterEach(() => expectLanesTrue(database.sql))
afterAll(async () => {
  await Promise.all(processes.map((one) => one.stop()))
  await database.drop()
})

const lanesOf = (key: LaneKey, count: number): LaneKey[] =>
  Array.from({ length: count }, (_, index) => ({ ...key, objectName: `Object${index}__c` }))

/** One write for each lane, all in one commit: every process is woken for all of them at once. */
const addDue = (lanes: LaneKey[]): Promise<string[]> =>
  addWithWakeups(
    database.sql,
    processes[0]!.wakeups.nudge,
    lanes.map((lane) => incoming(lane, { delaySeconds: 0 })),
  )

const ended = async (ids: string[]): Promise<boolean> =>
  (await states(database.sql, ids)).every((state) => state === 'succeeded 1')

describe('the batches of one installation', () => {
  it('are never more in flight than its concurrency, over all processes, and hold up no other installation', async () => {
    const lanes = lanesOf(held, 12)
    for (let round = 0; round < 3; round += 1) {
      const before = { slow: slow.provider.calls.length, quick: quick.calls.length }
      const ids = await addDue(lanes)
      await slow.called(before.slow + LIMIT)
      // with the one at its limit and nine lanes of it waiting, the other's go through, more than would fit beside it
      const others = await addDue(lanesOf(free, 8))
      await waitUntil(() => ended(others), { timeoutMs: 5_000, what: 'the other installation’s writes' })
      expect(quick.calls.length).toBe(before.quick + 8)
      expect(slow.open).toBe(LIMIT)
      // each that ends lets in one more
      for (let answered = 1; answered <= lanes.length; answered += 1) {
        slow.answer()
        await slow.called(before.slow + Math.min(LIMIT + answered, lanes.length))
        expect(slow.open).toBeLessThanOrEqual(LIMIT)
      }
      await waitUntil(() => ended(ids), { timeoutMs: 5_000, what: 'every write' })
      expect(slow.provider.calls).toHaveLength(before.slow + lanes.length)
    }
    const [most] = await database.sql<{ workers: number }[]>`
      select count(distinct batch.id)::int as workers from batch where state <> 'ended'`
    expect(most!.workers).toBe(0)
  })

  it('go out several at once from one lane', async () => {
    const before = slow.provider.calls.length
    const ids = await addWithWakeups(
      database.sql,
      processes[0]!.wakeups.nudge,
      Array.from({ length: 500 }, () => incoming(held)),
    )
    await slow.called(before + LIMIT)
    for (let answered = 1; answered <= 5; answered += 1) {
      slow.answer()
      await slow.called(before + Math.min(LIMIT + answered, 5))
      expect(slow.open).toBeLessThanOrEqual(LIMIT)
    }
    await waitUntil(() => ended(ids), { timeoutMs: 5_000, what: 'every write' })
    expect(slow.provider.calls.slice(before).map((call) => call.group.records.length)).toEqual(
      Array(5).fill(100),
    )
  })
})
