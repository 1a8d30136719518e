import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { connect, type Database } from '../../src/db/connect.ts'
import { newId } from '../../src/kernel/ids.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { startWakeups, type LaneJob, type Wakeups } from '../../src/wakeups/wakeups.ts'
import type { TestDatabase } from '../support/database.ts'
import { createServiceDatabase } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

/** Jobs of one installation that may be worked on at once. */
const LIMIT = 3

let database: TestDatabase
let serials: Database[]
let wakeups: Wakeups
let others: Wakeups
const sql = (): Database => database.sql

async function start(worker: boolean): Promise<Wakeups> {
  const serial = connect({ url: database.url, max: 2 })
  serials.push(serial)
  return startWakeups({ sql: sql(), serial, logger: silentLogger, groupConcurrency: LIMIT, worker })
}

beforeAll(async () => {
  database = await createServiceDatabase()
  serials = []
  wakeups = await start(true)
  others = await start(true)
})
afterEach(async () => {
  await sql()`delete from pgboss.job`
})
afterAll(async () => {
  await wakeups.stop()
  await others.stop()
  await Promise.all(serials.map((one) => one.end({ timeout: 5 })))
  await database.drop()
})

const now = (): Date => new Date(Date.now() - 1_000)
const inAnHour = (): Date => new Date(Date.now() + 3_600_000)

const nudge = (laneId: string, at: Date, installationId = newId()): Promise<void> =>
  sql().begin((tx) => wakeups.nudge(tx, [{ laneId, installationId, at }]))

const jobsOf = (laneId: string) => sql()<{ state: string; startAfter: Date }[]>`
  select state, start_after as "startAfter" from pgboss.job where singleton_key = ${laneId} order by state`

const laneIds = (jobs: LaneJob[]): string[] => jobs.map((job) => job.laneId)

describe('a wake-up', () => {
  it('is there once its transaction has committed, and not before', async () => {
    const laneId = newId()
    await sql().begin(async (tx) => {
      await wakeups.nudge(tx, [{ laneId, installationId: newId(), at: now() }])
      expect(await wakeups.fetch(10)).toEqual([])
    })
    expect(laneIds(await wakeups.fetch(10))).toEqual([laneId])
  })

  it('is found by its lane among all that wait, and by no other way than its index', async () => {
    const jobs = Array.from({ length: 3_000 }, () => ({
      laneId: newId(),
      installationId: newId(),
      at: inAnHour(),
    }))
    await sql().begin((tx) => wakeups.nudge(tx, jobs))
    const [row] = await sql()<{ 'QUERY PLAN': unknown }[]>`
      explain (format json) select id from pgboss.job_common job, (select ${jobs[0]!.laneId}::text as key) o
      where job.name = 'lane-wakeup' and job.state < 'active' and job.singleton_key = o.key order by job.created_on limit 1`
    expect(JSON.stringify(row!['QUERY PLAN'])).toContain('"Index Name":"writeback_waiting_key"')
    await nudge(jobs[0]!.laneId, now())
    expect(laneIds(await wakeups.fetch(10))).toEqual([jobs[0]!.laneId])
  })

  it('is not there when its transaction was rolled back', async () => {
    const laneId = newId()
    const undone = new Error('undone')
    await expect(
      sql().begin(async (tx) => {
        await wakeups.nudge(tx, [{ laneId, installationId: newId(), at: now() }])
        throw undone
      }),
    ).rejects.toBe(undone)
    expect(await jobsOf(laneId)).toHaveLength(0)
    expect(await wakeups.fetch(10)).toEqual([])
  })

  it('announces itself to every process that works', async () => {
    const woken = [wakeups, others].map((one) => new Promise<void>((resolve) => one.onWake(resolve)))
    await nudge(newId(), now())
    await Promise.all(woken)
  })

  it('is one for each lane, and is set to the time that was said last', async () => {
    const laneId = newId()
    const early = new Date(Date.now() + 60_000)
    await nudge(laneId, inAnHour())
    await nudge(laneId, early)
    const [job, ...more] = await jobsOf(laneId)
    expect(more).toEqual([])
    expect(job).toEqual({ state: 'created', startAfter: early })
    expect(await wakeups.fetch(10)).toEqual([])
    await nudge(laneId, now())
    expect(laneIds(await wakeups.fetch(10))).toEqual([laneId])
    expect(await wakeups.fetch(10)).toEqual([])
  })

  it('waits beside one that is worked on', async () => {
    const laneId = newId()
    await nudge(laneId, now())
    const [job] = await wakeups.fetch(1)
    await nudge(laneId, inAnHour())
    await nudge(laneId, now())
    expect((await jobsOf(laneId)).map((one) => one.state)).toEqual(['created', 'active'])
    await wakeups.done(job!.jobId)
    expect((await jobsOf(laneId)).map((one) => one.state)).toEqual(['created'])
  })

  it('is one for each lane, whoever sets it at the same time, in whatever order', async () => {
    const lanes = Array.from({ length: 20 }, () => newId())
    const installationId = newId()
    await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        sql().begin((tx) =>
          (index % 2 === 0 ? wakeups : others).nudge(
            tx,
            (index % 3 === 0 ? lanes : lanes.toReversed()).map((laneId) => ({
              laneId,
              installationId,
              at: now(),
            })),
          ),
        ),
      ),
    )
    for (const laneId of lanes) expect(await jobsOf(laneId)).toHaveLength(1)
  })
})

describe('taking wake-ups', () => {
  it('takes no more of one installation than its concurrency, however many processes take at once', async () => {
    const installationId = newId()
    for (let round = 0; round < 10; round += 1) {
      const lanes = Array.from({ length: 12 }, () => newId())
      await sql().begin((tx) =>
        wakeups.nudge(
          tx,
          lanes.map((laneId) => ({ laneId, installationId, at: now() })),
        ),
      )
      const taken = (await Promise.all([wakeups.fetch(10), others.fetch(10)])).flat()
      expect(taken).toHaveLength(LIMIT)
      expect(await others.fetch(10)).toEqual([])
      await wakeups.done(taken[0]!.jobId)
      expect(await others.fetch(10)).toHaveLength(1)
      await sql()`delete from pgboss.job`
    }
  })

  it('lets no installation stand in the way of another', async () => {
    const [crowded, lonely] = [newId(), newId()]
    const lanes = Array.from({ length: 50 }, () => newId())
    await sql().begin((tx) =>
      wakeups.nudge(
        tx,
        lanes.map((laneId) => ({ laneId, installationId: crowded, at: now() })),
      ),
    )
    expect(await wakeups.fetch(10)).toHaveLength(LIMIT)
    const laneId = newId()
    await nudge(laneId, now(), lonely)
    expect(laneIds(await wakeups.fetch(10))).toEqual([laneId])
  })

  it('gives each to one process only', async () => {
    const lanes = Array.from({ length: 60 }, () => newId())
    await sql().begin((tx) =>
      wakeups.nudge(
        tx,
        lanes.map((laneId) => ({ laneId, installationId: newId(), at: now() })),
      ),
    )
    const taken: string[] = []
    await Promise.all(
      [wakeups, others, wakeups, others].map(async (one) => {
        for (let jobs = await one.fetch(7); jobs.length > 0; jobs = await one.fetch(7))
          taken.push(...laneIds(jobs))
      }),
    )
    expect(taken.toSorted()).toEqual(lanes.toSorted())
  })

  it('keeps those alive that are touched', async () => {
    const laneId = newId()
    await nudge(laneId, now())
    const [job] = await wakeups.fetch(1)
    await sql()`update pgboss.job set heartbeat_on = now() - interval '1 hour'`
    await wakeups.touch([job!.jobId])
    await waitUntil(
      async () =>
        (await sql()`select 1 from pgboss.job where heartbeat_on > now() - interval '1 minute'`).length === 1,
      { timeoutMs: 2_000, what: 'the sign of life' },
    )
    await wakeups.touch([])
  })
})
