import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startSweeper, type Sweeper, type SweeperOptions } from '../../src/batcher/sweeper.ts'
import { connect, type Database } from '../../src/db/connect.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { startWakeups, type Wakeups } from '../../src/wakeups/wakeups.ts'
import type { TestDatabase } from '../support/database.ts'
import {
  addWrites,
  claim,
  expectLanesTrue,
  incoming,
  laneIdOf,
  laneKey,
  refuseIllegalMoves,
} from '../support/queue-fixture.ts'
import { createServiceDatabase } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'
import { steppedClock } from './fixture.ts'

let database: TestDatabase
let serial: Database
let wakeups: Wakeups
let sweepers: Sweeper[]
const clock = steppedClock()
const sql = (): Database => database.sql

beforeAll(async () => {
  database = await createServiceDatabase()
  await refuseIllegalMoves(database.sql)
  serial = connect({ url: database.url, max: 2 })
  wakeups = await startWakeups({
    sql: sql(),
    serial,
    logger: silentLogger,
    groupConcurrency: 4,
    worker: false,
  })
})
beforeEach(() => {
  sweepers = []
})
afterEach(async () => {
  await Promise.all(sweepers.map((one) => one.stop()))
  await expectLanesTrue(sql())
})
afterAll(async () => {
  await wakeups.stop()
  await serial.end({ timeout: 5 })
  await database.drop()
})

/** A sweeper that has made its first round. */
async function sweeper(part: Partial<SweeperOptions> = {}): Promise<Sweeper> {
  const one = startSweeper({
    sql: sql(),
    nudge: wakeups.nudge,
    clock,
    logger: silentLogger,
    intervalMs: 1_000,
    random: () => 0,
    ...part,
  })
  sweepers.push(one)
  await one.sweep()
  return one
}

const waitingJobs = async (laneId: string): Promise<number> =>
  (await sql()`select 1 from pgboss.job where singleton_key = ${laneId} and state = 'created'`).length

describe('a sweep', () => {
  it('wakes a lane that is due and has no job, and no lane that is not', async () => {
    const due = laneKey()
    const later = laneKey()
    await addWrites(sql(), [incoming(due, { delaySeconds: 0 }), incoming(later, { delaySeconds: 60 })])
    const [dueId, laterId] = [await laneIdOf(sql(), due), await laneIdOf(sql(), later)]
    await sweeper()
    expect(await waitingJobs(dueId)).toBe(1)
    expect(await waitingJobs(laterId)).toBe(0)
    // other tests' lanes may be due as well
    const jobs = await wakeups.fetch(1_000)
    const lanes = jobs.map((job) => job.laneId)
    expect(lanes.filter((laneId) => laneId === dueId)).toHaveLength(1)
    expect(lanes).not.toContain(laterId)
    await Promise.all(jobs.map((job) => wakeups.done(job.jobId)))
    await sql()`update write set state = 'sending', batch_id = id where lane_id = ${dueId}`
    await sql()`update lane set due_at = null, waiting = 0 where id = ${dueId}`
  })

  it('by several at once wakes each lane once', async () => {
    const lanes = Array.from({ length: 30 }, () => laneKey())
    await addWrites(
      sql(),
      lanes.map((lane) => incoming(lane, { delaySeconds: 0 })),
    )
    const all = await Promise.all(Array.from({ length: 3 }, () => sweeper()))
    await Promise.all(all.map((one) => one.sweep()))
    for (const lane of lanes) expect(await waitingJobs(await laneIdOf(sql(), lane))).toBe(1)
  })

  it('comes again and again, and survives one that fails', async () => {
    let sweeps = 0
    const failing = startSweeper({
      sql: sql(),
      nudge: () => {
        sweeps += 1
        return Promise.reject(new Error('the wake-ups are away'))
      },
      clock,
      logger: silentLogger,
      intervalMs: 1_000,
      random: () => 0,
    })
    sweepers.push(failing)
    await addWrites(sql(), [incoming(laneKey(), { delaySeconds: 0 })])
    await waitUntil(
      () => {
        clock.step()
        return sweeps >= 3
      },
      { timeoutMs: 5_000, what: 'three sweeps' },
    )
  })
})

/** A database that can be away, and a clock that is put forward. */
function outage() {
  let isAway = false
  let passedMs = 0
  const refuse = (): Promise<never> =>
    Promise.reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))
  const away = new Proxy(sql(), {
    apply: (target, self, args): unknown => (isAway ? refuse() : Reflect.apply(target, self, args)),
  })
  return {
    sql: away,
    clock: { ...clock, monotonic: () => clock.monotonic() + passedMs },
    setAway: (away: boolean) => (isAway = away),
    pass: (seconds: number) => (passedMs += seconds * 1000),
  }
}

/** A batch of a process that gives no sign of life, and whether it has been taken. */
async function silentBatch(): Promise<{ isTaken: () => Promise<boolean> }> {
  const lane = laneKey()
  await addWrites(sql(), [incoming(lane, { delaySeconds: 0 })])
  const { batch } = await claim(sql(), await laneIdOf(sql(), lane))
  const { batchId } = batch!
  await sql()`update batch set lease_until = now() - interval '1 s' where id = ${batchId}`
  return {
    isTaken: async () =>
      (await sql()`select 1 from batch where id = ${batchId} and state = 'ended'`).length > 0,
  }
}

describe('a worker that gives no sign of life', () => {
  it('has time to give one after the database was away', async () => {
    const { setAway, pass, ...parts } = outage()
    const one = await sweeper({ ...parts, leaseSeconds: 30 })
    const silent = await silentBatch()
    setAway(true)
    await expect(one.sweep()).rejects.toThrow('refused')
    setAway(false)
    await one.sweep()
    pass(14)
    await one.sweep()
    expect(await silent.isTaken()).toBe(false)
    pass(2)
    await one.sweep()
    expect(await silent.isTaken()).toBe(true)
  })

  it('has as much after the sweeping process itself was held up', async () => {
    const { pass, ...parts } = outage()
    const one = await sweeper({ ...parts, leaseSeconds: 30 })
    const silent = await silentBatch()
    pass(16)
    await one.sweep()
    expect(await silent.isTaken()).toBe(false)
    pass(14)
    await one.sweep()
    expect(await silent.isTaken()).toBe(false)
    pass(2)
    await one.sweep()
    expect(await silent.isTaken()).toBe(true)
  })

  it('has none while everybody else is in touch', async () => {
    const { pass, ...parts } = outage()
    const one = await sweeper({ ...parts, leaseSeconds: 30 })
    const silent = await silentBatch()
    pass(14)
    await one.sweep()
    expect(await silent.isTaken()).toBe(true)
  })
})
