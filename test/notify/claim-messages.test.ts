import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import { claimMessages, type ClaimLimits } from '../../src/notify/claim-messages.ts'
import { releaseMessages, settleDelivered, settleFailed } from '../../src/notify/settle-message.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { projectWith, putEvents } from './rows.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())
beforeEach(async () => {
  await database.sql`delete from notification`
  await database.sql`delete from destination`
})

const limits: ClaimLimits = {
  slots: 100,
  perDestination: 8,
  whileFailing: 2,
  firstRetries: 32,
  leaseSeconds: 30,
}
const claim = (part: Partial<ClaimLimits> = {}, only: string[] | null = null) =>
  claimMessages(database.sql, newId(), { ...limits, ...part }, only)
const failing = { status: 500, error: 'no', delaySeconds: 20, askedSeconds: 0, isGone: false }
const state = async (id: string) => {
  const [row] = await database.sql<
    { state: string; attempts: number; claimed: boolean; inSeconds: number; error: string | null }[]
  >`
    select state, attempts, claim_id is not null as claimed, error,
      round(extract(epoch from due_at - now()))::int as "inSeconds" from notification where id = ${id}`
  return row!
}
/** As if a claim's time were over. */
const runOut = (id: string) => database.sql`update notification set due_at = now() where id = ${id}`

describe('claiming', () => {
  it('takes the earliest first, and no more for a destination than it may have under way', async () => {
    const id = await projectWith(database.sql)
    const events = await putEvents(database.sql, id, 20)
    const first = await claim()
    expect(first.map((one) => one.id).sort()).toEqual(events.slice(0, 8).sort())
    expect(
      first.every(({ attempts, isDigest, events: of }) => attempts === 1 && !isDigest && of.length === 1),
    ).toBe(true)
    expect(await claim()).toEqual([])
    await settleDelivered(database.sql, { ...first[0]!, status: 200 })
    expect((await claim()).map((one) => one.id)).toEqual([events[8]])
  })

  it('by several at once gives each message to one, within the bound of all together', async () => {
    const ids = await Promise.all([1, 2, 3].map(() => projectWith(database.sql)))
    for (const id of ids) await putEvents(database.sql, id, 30)
    const claims = (await Promise.all(Array.from({ length: 12 }, () => claim()))).flat()
    expect(new Set(claims.map((one) => one.id)).size).toBe(claims.length)
    for (const id of ids) {
      const of = claims.filter(({ target }) => target.id === id)
      expect(of.length).toBeLessThanOrEqual(8)
    }
    expect(claims.length).toBeGreaterThan(0)
  })

  it('leaves a destination to whoever is claiming for it', async () => {
    const [held, free] = [await projectWith(database.sql), await projectWith(database.sql)]
    await putEvents(database.sql, held, 1)
    await putEvents(database.sql, free, 1)
    await database.sql.begin(async (tx) => {
      await tx`select from destination where id = ${held} for no key update`
      expect((await claim()).map(({ target }) => target.id)).toEqual([free])
    })
    expect((await claim()).map(({ target }) => target.id)).toEqual([held])
  })

  it('shares slots among destinations, however much waits for one of them', async () => {
    const [full, small] = [await projectWith(database.sql), await projectWith(database.sql)]
    await putEvents(database.sql, full, 100)
    await putEvents(database.sql, small, 1)
    const claimed = await claim({ slots: 4 })
    expect(claimed).toHaveLength(4)
    expect(claimed.filter(({ target }) => target.id === small)).toHaveLength(1)
  })

  it('looks after the named destinations only, and never after one that is off', async () => {
    const [one, other] = [await projectWith(database.sql), await projectWith(database.sql)]
    await putEvents(database.sql, one, 1)
    await putEvents(database.sql, other, 1)
    expect((await claim({}, [one])).map(({ target }) => target.id)).toEqual([one])
    await database.sql`
      update destination set enabled = false, disabled_reason = 'by_hand', disabled_at = now() where id = ${other}`
    expect(await claim()).toEqual([])
  })

  it('probes a destination that fails, with a few', async () => {
    const id = await projectWith(database.sql)
    await putEvents(database.sql, id, 20)
    const failAll = async () => {
      const claimed = await claim()
      for (const one of claimed) await settleFailed(database.sql, { ...one, ...failing, delaySeconds: 0 })
      return claimed
    }
    expect(await failAll()).toHaveLength(8)
    // Their first retries come in time all the same; beside them two that are new.
    const attempts = (await failAll()).map((one) => one.attempts)
    expect(attempts.sort()).toEqual([1, 1, 2, 2, 2, 2, 2, 2, 2, 2])
    // From then on no more than two, but for the first retries of the last two.
    expect((await claim()).filter((one) => one.attempts !== 2)).toHaveLength(2)
    expect(await claim()).toEqual([])
  })

  it('tries again what failed once as soon as it is due, before all that waits', async () => {
    const id = await projectWith(database.sql)
    const events = await putEvents(database.sql, id, 100)
    const first = await claim()
    for (const one of first) await settleFailed(database.sql, { ...one, ...failing })
    const probes = await claim()
    expect(probes.map((one) => one.id).sort()).toEqual(events.slice(8, 10).sort())
    // The probes hang, and there is room for no other: but these are due.
    for (const { id: failed } of first) await runOut(failed)
    const again = await claim({ slots: 5 })
    expect(again.map((one) => one.attempts)).toEqual([2, 2, 2, 2, 2])
    expect((await claim()).map((one) => one.attempts)).toEqual([2, 2, 2])
    expect(await claim()).toEqual([])
    // One that fails a second time waits for its turn like any other.
    await settleFailed(database.sql, { ...again[0]!, ...failing, delaySeconds: 0 })
    expect(await claim()).toEqual([])
  })

  it('gives a slot that is free to a first retry, however many destinations wait', async () => {
    const [failed] = await putEvents(database.sql, await projectWith(database.sql), 1)
    for (const one of await claim()) await settleFailed(database.sql, { ...one, ...failing, delaySeconds: 0 })
    // More than one claim looks after.
    for (let n = 0; n < 150; n += 1) await putEvents(database.sql, await projectWith(database.sql), 1)
    await database.sql`update notification set due_at = now() - interval '1 hour' where state = 'new'`
    expect((await claim({ slots: 1 })).map((one) => one.id)).toEqual([failed])
  })

  it('begins no first try that has no place for its first retry', async () => {
    const id = await projectWith(database.sql)
    await putEvents(database.sql, id, 20)
    const few = { firstRetries: 3, whileFailing: 8 }
    const first = await claim(few)
    expect(first).toHaveLength(3)
    for (const one of first) await settleFailed(database.sql, { ...one, ...failing })
    expect(await claim(few)).toEqual([])
    for (const one of first) await runOut(one.id)
    const again = await claim(few)
    expect(again.map((one) => one.attempts)).toEqual([2, 2, 2])
    expect(await claim(few)).toEqual([])
    // Its first retry is behind it: a place is free.
    await settleFailed(database.sql, { ...again[0]!, ...failing })
    expect((await claim(few)).map((one) => one.attempts)).toEqual([1])
    await settleDelivered(database.sql, { ...again[1]!, status: 200 })
    expect((await claim(few)).map((one) => one.attempts)).toEqual([1])
    expect(await claim(few)).toEqual([])
  })

  it('forms digests that are full, and those that have waited, of what came first', async () => {
    const id = await projectWith(database.sql, { digest: [3, 600] })
    const events = await putEvents(database.sql, id, 7)
    const full = await claim()
    const told = full.map((one) => one.events.map(({ operationId }) => operationId))
    expect(told.sort()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ])
    expect(full.map((one) => one.id).sort()).toEqual([events[0], events[3]].sort())
    expect(await claim()).toEqual([])
    await runOut(events[6]!)
    const [late] = await claim()
    expect(late).toMatchObject({ id: events[6], isDigest: true, events: [{ operationId: 7 }] })
    for (const one of [full[1]!, late!]) await settleDelivered(database.sql, { ...one, status: 200 })
    await settleFailed(database.sql, { ...full[0]!, ...failing, delaySeconds: 0 })
    expect(await claim()).toMatchObject([{ id: full[0]!.id, attempts: 2, events: full[0]!.events }])
  })
})

describe('what is recorded', () => {
  it('counts only with the claim: one that ran out belongs to the next', async () => {
    const id = await projectWith(database.sql)
    const [event] = await putEvents(database.sql, id, 1)
    const [lost] = await claim()
    expect(await state(event!)).toMatchObject({ claimed: true, inSeconds: 30 })
    await runOut(event!)
    const [mine] = await claim()
    expect(mine).toMatchObject({ id: event, attempts: 2 })
    expect(await settleDelivered(database.sql, { ...lost!, status: 200 })).toBeNull()
    expect(await settleFailed(database.sql, { ...lost!, ...failing })).toBeNull()
    await releaseMessages(database.sql, [lost!])
    expect(await state(event!)).toMatchObject({ state: 'waiting', claimed: true, inSeconds: 30 })
    expect(await settleDelivered(database.sql, { ...mine!, status: 200 })).toEqual({ worksAgain: false })
    expect(await state(event!)).toMatchObject({ state: 'delivered', claimed: false })
  })

  it('a failed message waits its time; after a day of attempts it is given up', async () => {
    const id = await projectWith(database.sql)
    const [event] = await putEvents(database.sql, id, 1)
    const [first] = await claim()
    expect(await settleFailed(database.sql, { ...first!, ...failing })).toEqual({
      isOver: false,
      failsNow: true,
      disabled: null,
    })
    expect(await state(event!)).toMatchObject({ state: 'waiting', inSeconds: 20, error: 'no' })
    await database.sql`
      update notification set due_at = now(), begun_at = now() - interval '24 hours' + interval '10 seconds'`
    const [last] = await claim()
    expect(await settleFailed(database.sql, { ...last!, ...failing })).toMatchObject({ isOver: true })
    expect(await state(event!)).toMatchObject({ state: 'failed', attempts: 2 })
    expect(await claim()).toEqual([])
  })

  it('a receiver may ask for a later attempt, not for none', async () => {
    const id = await projectWith(database.sql)
    const [event] = await putEvents(database.sql, id, 1)
    const fail = async (askedSeconds: number, passedHours: number) => {
      await runOut(event!)
      await database.sql`
        update notification set begun_at = now() - make_interval(secs => ${passedHours * 3_600}) where id = ${event!}`
      const [claimed] = await claim()
      const failed = await settleFailed(database.sql, { ...claimed!, ...failing, askedSeconds })
      return [failed!.isOver, (await state(event!)).inSeconds]
    }
    expect(await fail(10, 0)).toEqual([false, 20])
    expect(await fail(3_600, 1)).toEqual([false, 3_600])
    // Its day ends in half an hour: it has a last attempt then.
    expect(await fail(3_600, 23.5)).toEqual([false, 1_800])
    expect((await fail(3_600, 24))[0]).toBe(true)
  })

  it('however long an event lay without anybody to send it, it has its day', async () => {
    const id = await projectWith(database.sql)
    await putEvents(database.sql, id, 1)
    await database.sql`update notification set created_at = now() - interval '3 days', due_at = now() - interval '3 days'`
    const [first] = await claim()
    expect(await settleFailed(database.sql, { ...first!, ...failing })).toMatchObject({ isOver: false })
  })

  it('a success in between keeps a destination on, however long others fail', async () => {
    const id = await projectWith(database.sql)
    await putEvents(database.sql, id, 3)
    const [one, two, three] = await claim()
    await settleFailed(database.sql, { ...one!, ...failing })
    await database.sql`update destination set failing_since = now() - interval '25 hours'`
    expect(await settleDelivered(database.sql, { ...two!, status: 200 })).toEqual({ worksAgain: true })
    expect(await settleFailed(database.sql, { ...three!, ...failing })).toMatchObject({
      failsNow: true,
      disabled: null,
    })
    await database.sql`update destination set failing_since = now() - interval '24 hours'`
    await database.sql`update notification set due_at = now()`
    const [again] = await claim()
    expect(await settleFailed(database.sql, { ...again!, ...failing })).toMatchObject({ disabled: 'failing' })
    const [row] = await database.sql`select enabled, disabled_reason from destination where id = ${id}`
    expect({ ...row }).toEqual({ enabled: false, disabled_reason: 'failing' })
  })
})
