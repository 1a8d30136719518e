import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import { claimBatch, lockForClaim } from '../../src/queue/claim-batch.ts'
import { arriveInLanes, insertWrites } from '../../src/queue/insert-writes.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addWrites,
  claim,
  expectLanesTrue,
  incoming,
  laneIdOf,
  laneKey,
  refuseIllegalMoves,
  settle,
} from '../support/queue-fixture.ts'
import { waitUntil } from '../support/wait-until.ts'

let database: TestDatabase
const sql = () => database.sql

beforeAll(async () => {
  database = await createTestDatabase()
  await refuseIllegalMoves(database.sql)
})
afterAll(() => database.drop())

const several = (
  lane: ReturnType<typeof laneKey>,
  count: number,
  part: Parameters<typeof incoming>[1] = {},
) => Array.from({ length: count }, () => incoming(lane, part))
const ids = (result: Awaited<ReturnType<typeof claim>>): string[] =>
  result.batch?.members.map((member) => member.id) ?? []

const lockWaits = async (): Promise<number> => {
  const [row] = await sql()<{ count: number }[]>`
    select count(*)::int as count from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`
  return row!.count
}

describe('claiming a group', () => {
  it('takes nothing before the lane is full or due, and says when it is', async () => {
    const lane = laneKey()
    await addWrites(sql(), several(lane, 99, { delaySeconds: 60 }))
    const result = await claim(sql(), await laneIdOf(sql(), lane))
    expect(result.batch).toBeNull()
    expect(result.readyAgain).toBe(false)
    expect(result.nextDueAt!.getTime() - Date.now()).toBeGreaterThan(50_000)
    await expectLanesTrue(sql())
  })

  it('takes 100 as soon as they wait, oldest first, and leaves the rest its deadline', async () => {
    const lane = laneKey()
    const added = await addWrites(sql(), several(lane, 150, { delaySeconds: 60 }))
    const laneId = await laneIdOf(sql(), lane)
    const result = await claim(sql(), laneId)
    expect(ids(result)).toEqual(added.slice(0, 100))
    expect(result.readyAgain).toBe(false)
    expect(result.nextDueAt!.getTime()).toBeGreaterThan(Date.now() + 50_000)
    expect((await claim(sql(), laneId)).batch).toBeNull()
    await expectLanesTrue(sql())
  })

  it('is ready again at once while another full group waits', async () => {
    const lane = laneKey()
    const added = await addWrites(sql(), several(lane, 301))
    const laneId = await laneIdOf(sql(), lane)
    const claims = [
      await claim(sql(), laneId),
      await claim(sql(), laneId),
      await claim(sql(), laneId),
      await claim(sql(), laneId),
    ]
    expect(claims.map((result) => result.readyAgain)).toEqual([true, true, false, false])
    expect(claims.flatMap(ids)).toEqual(added.slice(0, 300))
    await expectLanesTrue(sql())
  })

  it('takes all that waits at the earliest deadline of any member', async () => {
    const lane = laneKey()
    const added = await addWrites(sql(), [
      incoming(lane, { delaySeconds: 60 }),
      incoming(lane, { delaySeconds: 0 }),
      incoming(lane, { delaySeconds: 30 }),
    ])
    const result = await claim(sql(), await laneIdOf(sql(), lane))
    expect(ids(result)).toEqual(added)
    expect(result.batch!.lateMs).toBeGreaterThanOrEqual(0)
    expect(result.nextDueAt).toBeNull()
    await expectLanesTrue(sql())
  })

  it('leaves at the smallest maxRecords among those that wait, and never with more', async () => {
    const lane = laneKey()
    const added = await addWrites(sql(), [...several(lane, 3), ...several(lane, 1, { maxRecords: 5 })])
    const laneId = await laneIdOf(sql(), lane)
    expect((await claim(sql(), laneId)).batch).toBeNull()
    added.push(...(await addWrites(sql(), several(lane, 1))))
    const result = await claim(sql(), laneId)
    expect(ids(result)).toEqual(added)
    added.push(...(await addWrites(sql(), several(lane, 50))))
    expect((await claim(sql(), laneId)).batch).toBeNull()
    await expectLanesTrue(sql())
  })

  it('never groups lanes that differ', async () => {
    const a = laneKey()
    const b = { ...a, objectName: 'Account' }
    await addWrites(sql(), [...several(a, 60), ...several(b, 60)])
    const lanes = await sql()<{ id: string; object_name: string; waiting: number }[]>`
      select id, object_name, waiting from lane where installation_id = ${a.installationId} order by object_name`
    expect(lanes.map((lane) => lane.waiting)).toEqual([60, 60])
    for (const lane of lanes) expect((await claim(sql(), lane.id)).batch).toBeNull()
  })

  it('splits a group by bytes, and lets a record that is bigger than that go alone', async () => {
    const lane = laneKey()
    const added = await addWrites(sql(), [
      incoming(lane, { delaySeconds: 0, bytes: 40 }),
      incoming(lane, { delaySeconds: 0, bytes: 40 }),
      incoming(lane, { delaySeconds: 0, bytes: 500 }),
      incoming(lane, { delaySeconds: 0, bytes: 40 }),
    ])
    const laneId = await laneIdOf(sql(), lane)
    const groups: string[][] = []
    for (let i = 0; i < 3; i += 1) groups.push(ids(await claim(sql(), laneId, 100)))
    expect(groups).toEqual([added.slice(0, 2), added.slice(2, 3), added.slice(3)])
  })

  it('holds back what waits for another try, without counting it as filling the lane', async () => {
    const lane = laneKey()
    await addWrites(sql(), several(lane, 100))
    const laneId = await laneIdOf(sql(), lane)
    const first = await claim(sql(), laneId)
    const settled = await settle(sql(), first.batch!, () => ({ state: 'queued', delaySeconds: 60 }))
    expect(settled.wake[0]!.at.getTime()).toBeGreaterThan(Date.now() + 50_000)
    await expectLanesTrue(sql())
    const [late] = await addWrites(sql(), several(lane, 1, { delaySeconds: 0 }))
    const second = await claim(sql(), laneId)
    expect(ids(second)).toEqual([late])
    expect(second.nextDueAt!.getTime()).toBeGreaterThan(Date.now() + 50_000)
    await expectLanesTrue(sql())
  })

  it('sees what was committed while it waited for the lane: no write is left without a wake-up', async () => {
    const lane = laneKey()
    const [first] = await addWrites(sql(), [incoming(lane, { delaySeconds: 0 })])
    const laneId = await laneIdOf(sql(), lane)
    const second = incoming(lane, { delaySeconds: 0 })
    const inserted = Promise.withResolvers<undefined>()
    const commit = Promise.withResolvers<undefined>()
    const adding = sql().begin(async (tx) => {
      const arrival = {
        laneId,
        count: 1,
        minDelaySeconds: 0,
        minMaxRecords: 100,
        firstId: second.writes[0].id,
      }
      await Promise.all([
        arriveInLanes(tx, [arrival]),
        insertWrites(tx, [{ ...second.writes[0], laneId, blocked: false }]),
      ])
      inserted.resolve(undefined)
      await commit.promise
    })
    await inserted.promise
    const claiming = claim(sql(), laneId)
    await waitUntil(async () => (await lockWaits()) > 0, {
      timeoutMs: 10_000,
      what: 'the claim waits for the lane',
    })
    commit.resolve(undefined)
    await adding
    expect(ids(await claiming)).toEqual([first, second.writes[0].id])
    await expectLanesTrue(sql())
  })

  it('counts what was committed after its transaction began', async () => {
    const lane = laneKey()
    const first = await addWrites(sql(), several(lane, 60))
    const laneId = await laneIdOf(sql(), lane)
    const result = await sql().begin(async (tx) => {
      await tx`select now()`
      first.push(...(await addWrites(sql(), several(lane, 60))))
      const id = newId()
      await lockForClaim(tx, [laneId])
      return claimBatch(tx, {
        laneId,
        batchId: id,
        callId: id,
        worker: 'test',
        leaseSeconds: 60,
        maxBytes: 1_000_000,
        rides: false,
        synchronous: false,
        heldParents: [],
      })
    })
    expect(ids(result)).toEqual(first.slice(0, 100))
    await expectLanesTrue(sql())
  })

  it('gives each write to one claim only, whoever claims and adds at the same time', async () => {
    const lane = laneKey()
    const added = new Set(await addWrites(sql(), several(lane, 100)))
    const laneId = await laneIdOf(sql(), lane)
    const claimed: string[] = []
    const adders = Array.from({ length: 3 }, async () => {
      for (let i = 0; i < 10; i += 1)
        for (const id of await addWrites(sql(), several(lane, 37, { delaySeconds: 0 }))) added.add(id)
    })
    const claimers = Array.from({ length: 3 }, async () => {
      for (let i = 0; i < 30; i += 1) claimed.push(...ids(await claim(sql(), laneId)))
    })
    await Promise.all([...adders, ...claimers])
    for (let more = await claim(sql(), laneId); more.batch !== null; more = await claim(sql(), laneId))
      claimed.push(...ids(more))
    expect(claimed).toHaveLength(added.size)
    expect(new Set(claimed)).toEqual(added)
    await expectLanesTrue(sql())
  })
})
