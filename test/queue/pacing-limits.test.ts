import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import { paceStatement, PROBE_SECONDS, type Pace } from '../../src/queue/read-pace.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitUntil } from '../support/wait-until.ts'
import {
  ask,
  askIn,
  countLockWaits,
  heldLane,
  idsOf,
  letPass,
  openBatch,
  party,
  percent,
  report,
  type Party,
} from './pacing-fixture.ts'

let database: TestDatabase
const sql = () => database.sql

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const limited = { go: false, reason: 'limit' }
const secondsOf = (pace: Pace): number => (pace.go ? 0 : pace.seconds)

/** How many calls may be in flight, found by adding to them. */
async function allowed(who: Party, maxConcurrency = 16): Promise<number> {
  await sql()`update batch set state = 'ended', ended_at = now() where installation_id = ${who.installationId} and state <> 'ended'`
  for (let open = 0; ; open += 1) {
    const pace = await ask(sql(), who, { maxConcurrency })
    if (!pace.go) return open
    await openBatch(sql(), who)
  }
}

describe("the day's calls used up", () => {
  it('stop every installation of that org and no other, for 5 minutes at most', async () => {
    const who = party()
    const sibling = party(who.org)
    await report(sql(), who, { throttle: 'daily' })
    for (const one of [who, sibling]) {
      const pace = await ask(sql(), one)
      expect(pace).toMatchObject(limited)
      expect(secondsOf(pace)).toBeGreaterThan(290)
      expect(secondsOf(pace)).toBeLessThanOrEqual(300)
    }
    expect(await ask(sql(), party())).toEqual({ go: true })
    await report(sql(), who, { throttle: 'daily', random: 0.999 })
    expect(secondsOf(await ask(sql(), who))).toBeLessThan(250)
    expect(secondsOf(await ask(sql(), who))).toBeGreaterThan(230)
  })

  it('are looked at again by one call of the org, whichever installations ask at once', async () => {
    const who = party()
    const sibling = party(who.org)
    await report(sql(), who, { throttle: 'daily' })
    await letPass(sql(), who, 6)
    let other: Promise<Pace> | undefined
    await sql().begin(async (tx) => {
      expect(await askIn(tx, sibling)).toEqual({ go: true })
      other = ask(sql(), who)
      await waitUntil(async () => (await countLockWaits(sql())) === 1, { timeoutMs: 5_000, what: 'a lock' })
    })
    const pace = await other!
    expect(pace).toMatchObject(limited)
    expect(secondsOf(pace)).toBeGreaterThan(PROBE_SECONDS - 10)
    // refused again, it goes on
    await report(sql(), sibling, { throttle: 'daily' })
    expect(secondsOf(await ask(sql(), who))).toBeGreaterThan(290)
    await letPass(sql(), who, 6)
    const paces = await Promise.all([who, sibling, party(who.org)].map((one) => ask(sql(), one)))
    expect(paces.filter((one) => one.go)).toHaveLength(1)
  })

  it('are over when a call gets through that began later, which wakes everything that was held', async () => {
    const [who, elsewhere] = [party(), party()]
    const newcomer = party(who.org)
    await report(sql(), who, { throttle: 'daily' })
    await report(sql(), elsewhere, { throttle: 'daily' })
    // this one has never made a call
    expect(await ask(sql(), newcomer)).toMatchObject(limited)
    const lanes = [
      await heldLane(sql(), who, 'limit'),
      await heldLane(sql(), who, 'quota'),
      await heldLane(sql(), newcomer, 'limit'),
    ]
    await heldLane(sql(), who, 'connection')
    await heldLane(sql(), elsewhere, 'limit')
    await letPass(sql(), who, 1)
    expect(await report(sql(), who, { callMs: 61_000 })).toEqual([])
    expect(await report(sql(), who, { passed: false })).toEqual([])
    expect(await ask(sql(), who)).toMatchObject(limited)
    const woken = await report(sql(), party(who.org), { callMs: 30_000, ...percent(12) })
    expect(idsOf(woken)).toEqual(lanes.sort())
    expect(woken.find((lane) => lane.laneId === lanes[0])!.at.getTime()).toBeLessThan(Date.now() + 1_000)
    expect(await ask(sql(), who)).toEqual({ go: true })
    expect(await ask(sql(), elsewhere)).toMatchObject(limited)
    expect(await report(sql(), who)).toEqual([])
  })

  it('hold nothing that asks while they are being found over', async () => {
    const who = party()
    await report(sql(), who, { throttle: 'daily' })
    const laneId = await heldLane(sql(), who, null)
    await letPass(sql(), who, 1)
    let reported: Promise<unknown> = Promise.resolve()
    await sql().begin(async (tx) => {
      expect(await askIn(tx, who)).toMatchObject(limited)
      reported = report(sql(), who)
      await waitUntil(async () => (await countLockWaits(sql())) === 1, { timeoutMs: 5_000, what: 'a lock' })
      await tx`update lane set held_by = 'limit' where id = ${laneId}`
    })
    expect(await reported).toMatchObject([{ laneId }])
  })

  it('are looked at in their own time, whatever an installation has of its budget', async () => {
    const who = party()
    await report(sql(), who, { throttle: 'daily', ...percent(100) })
    expect(await ask(sql(), who)).toMatchObject(limited)
    await letPass(sql(), who, 6)
    await sql()`update pacing set probe_at = now() + interval '4 min' where installation_id = ${who.installationId}`
    expect(await ask(sql(), who)).toEqual({ go: true })
    await report(sql(), who, percent(99))
    const pace = await ask(sql(), who)
    expect(pace).toMatchObject({ reason: 'quota' })
    expect(secondsOf(pace)).toBeGreaterThan(PROBE_SECONDS - 10)
  })

  it('and looked at by an installation of a small budget do not keep others from waking', async () => {
    const [who, frugal] = [party(), party()]
    frugal.org = who.org
    await report(sql(), who, percent(95))
    await ask(sql(), who)
    const laneId = await heldLane(sql(), who, 'quota')
    await report(sql(), who, { throttle: 'daily' })
    await letPass(sql(), who, 6)
    expect(await ask(sql(), frugal, { budgetPercent: 60 })).toEqual({ go: true })
    const woken = await report(sql(), who, { ...percent(70), passed: false })
    expect(idsOf(woken)).toEqual([laneId])
  })
})

describe.each(['concurrent', 'long_running'] as const)('a %s limit', (throttle) => {
  it('pauses the installation for 5 to 15 seconds, and nobody else', async () => {
    const who = party()
    await report(sql(), who, { throttle })
    const pace = await ask(sql(), who)
    expect(pace).toMatchObject(limited)
    expect(secondsOf(pace)).toBeGreaterThan(4)
    expect(secondsOf(pace)).toBeLessThanOrEqual(5)
    expect(await ask(sql(), party(who.org))).toEqual({ go: true })
    await report(sql(), who, { throttle, random: 0.999 })
    expect(secondsOf(await ask(sql(), who))).toBeGreaterThan(13)
    await report(sql(), who, { throttle })
    expect(secondsOf(await ask(sql(), who))).toBeGreaterThan(13)
    expect(secondsOf(await ask(sql(), who))).toBeLessThanOrEqual(15)
    expect(await report(sql(), who)).toEqual([])
    expect(await ask(sql(), who)).toMatchObject(limited)
    await letPass(sql(), who, 0.3)
    expect(await ask(sql(), who)).toEqual({ go: true })
  })

  it('halves what may be in flight', async () => {
    const who = party()
    await report(sql(), who, { throttle, maxConcurrency: 8 })
    await letPass(sql(), who, 0.3)
    expect(await allowed(who, 8)).toBe(4)
  })
})

describe('what may be in flight', () => {
  it('is counted in calls that have not ended and are not synchronous', async () => {
    const who = party()
    const callId = newId()
    for (let group = 0; group < 3; group += 1) await openBatch(sql(), who, { callId })
    await openBatch(sql(), who, { state: 'claimed' })
    await openBatch(sql(), who, { synchronous: true })
    await openBatch(sql(), who, { state: 'ended' })
    await openBatch(sql(), party(who.org))
    expect(await ask(sql(), who, { maxConcurrency: 3 })).toEqual({ go: true })
    expect(await ask(sql(), who, { maxConcurrency: 2 })).toEqual({
      go: false,
      reason: 'concurrency',
      seconds: 0.25,
    })
  })

  it('halves on row locks, once for all calls that were in flight together, never below 1', async () => {
    const who = party()
    const locked = { locked: true, maxConcurrency: 16 }
    await report(sql(), who, locked)
    expect(await allowed(who)).toBe(8)
    await report(sql(), who, { ...locked, callMs: 1_000 })
    expect(await allowed(who)).toBe(8)
    for (const left of [4, 2, 1, 1]) {
      await report(sql(), who, locked)
      expect(await allowed(who)).toBe(left)
    }
  })

  it('grows back by one a minute without a cut, to what it was', async () => {
    const who = party()
    await report(sql(), who, { locked: true, maxConcurrency: 16 })
    await letPass(sql(), who, 0.9)
    expect(await allowed(who)).toBe(8)
    // a call that was in flight at the cut is no news, and begins no new minute
    await report(sql(), who, { locked: true, maxConcurrency: 16, callMs: 60_000 })
    await letPass(sql(), who, 0.2)
    expect(await allowed(who)).toBe(9)
    await letPass(sql(), who, 4)
    expect(await allowed(who)).toBe(13)
    await letPass(sql(), who, 100_000)
    expect(await allowed(who)).toBe(16)
    expect(await allowed(who, 3)).toBe(3)
    await report(sql(), who, { locked: true, maxConcurrency: 3 })
    expect(await allowed(who)).toBe(1)
  })

  it('is cut from what it has grown back to', async () => {
    const who = party()
    await report(sql(), who, { locked: true, maxConcurrency: 16 })
    await letPass(sql(), who, 4)
    await report(sql(), who, { locked: true, maxConcurrency: 16 })
    expect(await allowed(who)).toBe(6)
    await letPass(sql(), who, 1)
    // a process that allows less was never above that
    await report(sql(), who, { locked: true, maxConcurrency: 4 })
    expect(await allowed(who)).toBe(2)
  })

  it('is nothing that the budget changes', async () => {
    const who = party()
    await report(sql(), who, { locked: true, maxConcurrency: 8, ...percent(95) })
    await ask(sql(), who)
    await letPass(sql(), who, 0.5)
    await report(sql(), who, percent(10))
    expect(await allowed(who, 8)).toBe(4)
  })
})

describe('asking', () => {
  interface Plan {
    'Node Type': string
    'Relation Name'?: string
    'Index Name'?: string
    Plans?: Plan[]
  }
  const walk = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(walk)]

  it('reads its tables by their indexes, batches by the one of open ones', async () => {
    const request = { ...party(), maxConcurrency: 4, budgetPercent: 90 }
    const [row] = await sql().begin(
      (tx) => tx<{ 'QUERY PLAN': { Plan: Plan }[] }[]>`explain (format json) ${paceStatement(tx, request)}`,
    )
    const scans = walk(row!['QUERY PLAN'][0]!.Plan).filter(
      (node) => node['Relation Name'] !== undefined && node['Node Type'].endsWith('Scan'),
    )
    expect(scans.map((node) => [node['Relation Name'], node['Index Name']]).sort()).toEqual([
      ['batch', 'batch_open_of_installation'],
      ['org_usage', 'org_usage_pkey'],
      ['org_usage', 'org_usage_pkey'],
      ['pacing', 'pacing_pkey'],
    ])
  })

  it('remembers the org that a call last went to', async () => {
    const who = party()
    await report(sql(), who)
    const orgOf = async () =>
      (
        await sql()<{ org: string }[]>`select org from pacing where installation_id = ${who.installationId}`
      )[0]?.org
    expect(await orgOf()).toBe(who.org)
    await report(sql(), { ...who, org: 'another' })
    expect(await orgOf()).toBe('another')
  })
})
