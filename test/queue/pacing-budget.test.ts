import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PROBE_SECONDS } from '../../src/queue/read-pace.ts'
import { recordPace } from '../../src/queue/record-pace.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitUntil } from '../support/wait-until.ts'
import {
  ask,
  askIn,
  countLockWaits,
  heldLane,
  idsOf,
  letPass,
  party,
  percent,
  report,
  reportOf,
  type Party,
} from './pacing-fixture.ts'

let database: TestDatabase
const sql = () => database.sql

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const usageOf = async (who: Party) =>
  (
    await sql()<{ used: number; limit: number; version: string }[]>`
      select api_used as used, api_limit as limit, xmin::text as version from org_usage where org = ${who.org}`
  )[0]

const overBudget = { go: false, reason: 'quota' }

describe('the usage of an org', () => {
  it('is kept from every answer that has it, lower ones included', async () => {
    const who = party()
    await report(sql(), who, { usage: { used: 500, limit: 1000 } })
    expect(await usageOf(who)).toMatchObject({ used: 500, limit: 1000 })
    await report(sql(), party(who.org), { usage: { used: 700, limit: 2000 } })
    expect(await usageOf(who)).toMatchObject({ used: 700, limit: 2000 })
    await letPass(sql(), who, 1)
    await report(sql(), who, { usage: { used: 100, limit: 2000 } })
    expect(await usageOf(who)).toMatchObject({ used: 100, limit: 2000 })
  })

  it('stays the higher of two that answers in flight together brought', async () => {
    const who = party()
    await report(sql(), who, percent(91))
    await report(sql(), who, { ...percent(89), callMs: 5_000 })
    await report(sql(), who, percent(89))
    expect(await usageOf(who)).toMatchObject({ used: 9_100 })
    // of calls that began after that reading it is the truth, however many more follow each other closely
    await letPass(sql(), who, 0.1)
    await report(sql(), who, { ...percent(89), callMs: 4_000 })
    expect(await usageOf(who)).toMatchObject({ used: 8_900 })
  })

  it('stays the higher one when the other waited for it to be written', async () => {
    const who = party()
    await report(sql(), who, percent(50))
    let reported: Promise<unknown> = Promise.resolve()
    await sql().begin(async (tx) => {
      await recordPace(tx, reportOf(who, percent(91)))
      reported = report(sql(), who, { ...percent(89), callMs: 5_000 })
      await waitUntil(async () => (await countLockWaits(sql())) === 1, { timeoutMs: 5_000, what: 'a lock' })
    })
    await reported
    expect(await usageOf(who)).toMatchObject({ used: 9_100 })
  })

  it('goes down while calls overlap all the time', async () => {
    const who = party()
    await report(sql(), who, percent(91))
    for (const used of [80, 79, 78, 77]) {
      await letPass(sql(), who, 0.5 / 60)
      await report(sql(), who, { ...percent(used), callMs: 100 })
    }
    expect((await usageOf(who))!.used).toBeLessThan(8_000)
  })

  it('costs no row version, and locks nothing, when it is as known', async () => {
    const who = party()
    await report(sql(), who, percent(50))
    const before = (await usageOf(who))!.version
    await sql().begin(async (tx) => {
      await tx`select from org_usage where org = ${who.org} for update`
      await tx`select from pacing where installation_id = ${who.installationId} for update`
      await report(sql(), who, percent(50))
      await report(sql(), who, { ...percent(49), callMs: 10_000 })
      expect(await ask(sql(), who)).toEqual({ go: true })
    })
    expect((await usageOf(who))!.version).toBe(before)
    await letPass(sql(), who, 2)
    await report(sql(), who, percent(50))
    const [row] = await sql()<{ fresh: boolean }[]>`
      select read_at > now() - interval '1 min' as fresh from org_usage where org = ${who.org}`
    expect(row!.fresh).toBe(true)
  })

  it('is unknown when nothing was heard for a day', async () => {
    const who = party()
    await report(sql(), who, percent(95))
    await letPass(sql(), who, 24 * 60 - 1)
    expect(await ask(sql(), who)).toMatchObject(overBudget)
    await letPass(sql(), who, 2)
    expect(await ask(sql(), who)).toEqual({ go: true })
    // and the installation is not over its budget any more
    await report(sql(), who, percent(80))
    expect(await ask(sql(), who)).toEqual({ go: true })
  })

  it('without a limit says nothing', async () => {
    const who = party()
    await report(sql(), who, { usage: { used: 5, limit: 0 } })
    expect(await ask(sql(), who)).toEqual({ go: true })
  })
})

describe('the budget of an installation', () => {
  it('is what it is given, of the whole org', async () => {
    const who = party()
    await report(sql(), party(who.org), percent(89.99))
    expect(await ask(sql(), who)).toEqual({ go: true })
    expect(await ask(sql(), who, { budgetPercent: 50 })).toMatchObject(overBudget)
    expect(await ask(sql(), party(who.org))).toEqual({ go: true })
    expect(await ask(sql(), party())).toEqual({ go: true })
    await report(sql(), party(who.org), percent(90))
    expect(await ask(sql(), party(who.org))).toMatchObject(overBudget)
  })

  it('once spent lets one call through in 5 minutes', async () => {
    const who = party()
    await report(sql(), who, percent(90))
    const first = await ask(sql(), who)
    expect(first).toEqual({ ...overBudget, seconds: PROBE_SECONDS })
    expect(PROBE_SECONDS).toBeLessThan(300)
    await letPass(sql(), who, 4)
    const again = await ask(sql(), who)
    expect(again).toMatchObject(overBudget)
    expect((again as { seconds: number }).seconds).toBeGreaterThan(PROBE_SECONDS - 240 - 5)
    expect((again as { seconds: number }).seconds).toBeLessThanOrEqual(PROBE_SECONDS - 240)
    await letPass(sql(), who, 1)
    expect(await ask(sql(), who)).toEqual({ go: true })
    expect(await ask(sql(), who)).toMatchObject(overBudget)
    await report(sql(), who, percent(90.5))
    expect(await ask(sql(), who)).toMatchObject(overBudget)
    await letPass(sql(), who, 5)
    expect(await ask(sql(), who)).toEqual({ go: true })
  })

  it('is written down once, however often is asked meanwhile', async () => {
    const who = party()
    const versions = () => sql()`
      select o.xmin::text as org, p.xmin::text as own
      from org_usage o, pacing p where o.org = ${who.org} and p.installation_id = ${who.installationId}`
    await report(sql(), who, percent(95))
    await ask(sql(), who)
    const [before] = await versions()
    expect(await ask(sql(), who)).toMatchObject(overBudget)
    expect(await versions()).toEqual([before])
  })

  it('lets one call through, whoever asks at once', async () => {
    const who = party()
    await report(sql(), who, percent(95))
    await ask(sql(), who)
    await letPass(sql(), who, 6)
    const paces = await Promise.all([ask(sql(), who), ask(sql(), who), ask(sql(), who)])
    expect(paces.filter((pace) => pace.go)).toHaveLength(1)
  })

  it('does not spend that call while enough is in flight', async () => {
    const who = party()
    await report(sql(), who, percent(95))
    await ask(sql(), who)
    await letPass(sql(), who, 6)
    await sql()`
      insert into batch (id, lane_id, installation_id, project_id, call_id, object_name, type, all_or_none, members,
                         attempt, worker, lease_until)
      select gen_random_uuid(), gen_random_uuid(), ${who.installationId}, gen_random_uuid(), gen_random_uuid(),
             'Contact', 'create', false, '{}', 1, 'test', now()`
    expect(await ask(sql(), who, { maxConcurrency: 1 })).toMatchObject({ reason: 'concurrency' })
    expect(await ask(sql(), who)).toEqual({ go: true })
  })

  it('is kept from where it was spent to below 75 of 90 parts of it', async () => {
    const who = party()
    await report(sql(), who, percent(90))
    await ask(sql(), who)
    await letPass(sql(), who, 1)
    await report(sql(), who, percent(75))
    expect(await ask(sql(), who)).toMatchObject(overBudget)
    expect(await ask(sql(), party(who.org))).toEqual({ go: true })
    await letPass(sql(), who, 1)
    await report(sql(), who, percent(74.99))
    expect(await ask(sql(), who)).toEqual({ go: true })
    await report(sql(), who, percent(89))
    expect(await ask(sql(), who)).toEqual({ go: true })
  })

  it('wakes what waited for it when a reading is below, in every installation that it allows', async () => {
    const [who, frugal, elsewhere] = [party(), party(), party()]
    frugal.org = who.org
    for (const one of [who, elsewhere]) await report(sql(), one, percent(95))
    await ask(sql(), who)
    await ask(sql(), elsewhere)
    await ask(sql(), frugal, { budgetPercent: 60 })
    const lanes = [await heldLane(sql(), who, 'quota'), await heldLane(sql(), frugal, 'quota')]
    const others = [
      await heldLane(sql(), who, 'connection'),
      await heldLane(sql(), who, null),
      await heldLane(sql(), elsewhere, 'quota'),
    ]
    await letPass(sql(), who, 1)
    expect(await report(sql(), who, percent(75))).toEqual([])
    await letPass(sql(), who, 1)
    // by another installation's call: a reading is of the org
    const woken = await report(sql(), party(who.org), percent(55))
    expect(idsOf(woken)).toEqual(lanes.sort())
    expect(woken[0]!.at.getTime()).toBeLessThanOrEqual(Date.now() + 1_000)
    const rows = await sql()`
      select id from lane where due_at <= now() and held_by is null and id = any (${lanes}::uuid[])`
    expect(rows).toHaveLength(2)
    expect(await sql()`select from lane where due_at <= now() and id = any (${others}::uuid[])`).toHaveLength(
      0,
    )
    expect(await ask(sql(), who)).toEqual({ go: true })
    expect(await ask(sql(), frugal, { budgetPercent: 60 })).toMatchObject(overBudget)
    // and that one wakes in its turn
    await heldLane(sql(), frugal, 'quota')
    await letPass(sql(), who, 1)
    expect(await report(sql(), who, percent(51))).toEqual([])
    await letPass(sql(), who, 1)
    expect(await report(sql(), who, percent(49))).toHaveLength(1)
    expect(await report(sql(), who, percent(48))).toEqual([])
  })

  it('wakes a lane that is put off at the very moment the reading arrives', async () => {
    const who = party()
    await report(sql(), who, percent(95))
    const laneId = await heldLane(sql(), who, null)
    await letPass(sql(), who, 1)
    let reported: Promise<unknown> = Promise.resolve()
    await sql().begin(async (tx) => {
      expect(await askIn(tx, who)).toMatchObject(overBudget)
      reported = report(sql(), who, percent(10))
      await waitUntil(async () => (await countLockWaits(sql())) === 1, { timeoutMs: 5_000, what: 'a lock' })
      await tx`update lane set held_by = 'quota' where id = ${laneId}`
    })
    expect(await reported).toMatchObject([{ laneId }])
  })

  it('holds nothing by a reading that was replaced at that very moment', async () => {
    const who = party()
    await report(sql(), who, percent(95))
    await letPass(sql(), who, 1)
    let asked: Promise<unknown> = Promise.resolve()
    await sql().begin(async (tx) => {
      await tx`update org_usage set api_used = 10 where org = ${who.org}`
      asked = ask(sql(), who)
      await waitUntil(async () => (await countLockWaits(sql())) === 1, { timeoutMs: 5_000, what: 'a lock' })
    })
    expect(await asked).toEqual({ go: true })
  })
})
