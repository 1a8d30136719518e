import { PgBoss } from 'pg-boss'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect, type Database } from '../../src/db/connect.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { bossOnPool } from '../../src/wakeups/boss-db.ts'
import { prepareSchedule, type Housekeeping } from '../../src/wakeups/schedule.ts'
import { startWakeups, type Wakeups } from '../../src/wakeups/wakeups.ts'
import type { TestDatabase } from '../support/database.ts'
import { createServiceDatabase } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

let database: TestDatabase
let serials: Database[]
let running: Wakeups[]
const sql = (): Database => database.sql

beforeEach(async () => {
  database = await createServiceDatabase()
  serials = []
  running = []
})
afterEach(async () => {
  await Promise.all(running.map((wakeups) => wakeups.stop()))
  await Promise.all(serials.map((serial) => serial.end({ timeout: 5 })))
  await database.drop()
})

function openSerial(): Database {
  const serial = connect({ url: database.url, max: 2 })
  serials.push(serial)
  return serial
}

/** A process that does the house-keeping when its time has come. */
async function start(housekeeping: Housekeeping, worker = true): Promise<Wakeups> {
  const serial = openSerial()
  const wakeups = await startWakeups({
    sql: sql(),
    serial,
    logger: silentLogger,
    groupConcurrency: 1,
    worker,
    housekeeping,
  })
  running.push(wakeups)
  return wakeups
}

/** Makes the time come every minute: the minute that has begun counts. */
async function everyMinute(): Promise<void> {
  const serial = openSerial()
  const boss = new PgBoss({
    db: bossOnPool(sql(), serial, () => undefined),
    supervise: false,
    schedule: false,
  })
  await boss.start()
  await prepareSchedule(boss, '* * * * *')
  await boss.stop({ graceful: false, close: false })
}

const jobs = () => sql()<{ state: string }[]>`select state from pgboss.job where name = 'housekeeping'`

describe('the schedule', () => {
  it('is set a few times an hour, and made up for once', async () => {
    const [row] = await sql()<[{ cron: string; options: { missed: string } }]>`
      select cron, options from pgboss.schedule where name = 'housekeeping'`
    expect(row).toMatchObject({ cron: '*/15 * * * *', options: { missed: 'once' } })
  })

  it('has one process of all do the work, and no second run beside it', async () => {
    await everyMinute()
    let runs = 0
    const release = Promise.withResolvers<null>()
    const work: Housekeeping = async () => {
      runs += 1
      await release.promise
    }
    await Promise.all([start(work), start(work), start(work)])
    await waitUntil(() => runs > 0, { timeoutMs: 30_000, what: 'a run' })
    // what comes meanwhile, from this minute or the next, finds the one that is there
    const boss = new PgBoss({
      db: bossOnPool(sql(), openSerial(), () => undefined),
      supervise: false,
      schedule: false,
    })
    await boss.start()
    expect(await boss.send('housekeeping')).toBeNull()
    await boss.unschedule('housekeeping')
    await boss.stop({ graceful: false, close: false })
    release.resolve(null)
    await waitUntil(async () => (await jobs()).every(({ state }) => state === 'completed'), {
      timeoutMs: 10_000,
      what: 'the end of the run',
    })
    expect(runs).toBe(1)
  })

  it('cuts the run short when the process stops, and waits for its end', async () => {
    await everyMinute()
    const order: string[] = []
    const begun = Promise.withResolvers<null>()
    const wakeups = await start(async (signal) => {
      begun.resolve(null)
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      await sql()`select 1`
      order.push('run ended')
    })
    await begun.promise
    await wakeups.stop()
    order.push('stopped')
    expect(order).toEqual(['run ended', 'stopped'])
    // the job is not left behind as being worked on
    expect((await jobs()).filter(({ state }) => state === 'active')).toEqual([])
  })
})
