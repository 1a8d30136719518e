import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createGroupCommit } from '../../src/ingest/group-commit.ts'
import { newId } from '../../src/kernel/ids.ts'
import type { Tx } from '../../src/db/connect.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import { keepLanes } from '../../src/queue/ensure-lane.ts'
import { insertSending } from '../../src/queue/insert-sending.ts'
import type { Submission } from '../../src/queue/insert-writes.ts'
import { lockOrder } from '../../src/queue/record-order.ts'
import { keepRetention } from '../../src/queue/retention.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addWrites,
  claim,
  expectLanesTrue,
  incoming,
  laneIdOf,
  laneKey,
  settle,
} from '../support/queue-fixture.ts'
import { waitUntil } from '../support/wait-until.ts'

const OLD_ID = '01890000-0000-7000-8000-000000000000'

let database: TestDatabase
const sql = () => database.sql

beforeEach(async () => {
  database = await createTestDatabase()
})
afterEach(() => database.drop())

const keep = () => keepRetention({ sql: sql(), logger: silentLogger, days: 30 }, new AbortController().signal)

/** Makes a lane as old as one that nothing has come to for months; its new id. */
async function grownOld(lane: LaneKey): Promise<string> {
  const id = await laneIdOf(sql(), lane)
  await sql()`update lane set id = ${OLD_ID}, used_at = now() - interval '90 days' where id = ${id}`
  await sql()`update write set lane_id = ${OLD_ID} where lane_id = ${id}`
  return OLD_ID
}

/** A lane that nothing has come to for months, whose writes are gone. */
async function forsakenLane(lane: LaneKey): Promise<string> {
  await addWrites(sql(), [incoming(lane, { delaySeconds: 0 })])
  const { batch } = await claim(sql(), await laneIdOf(sql(), lane))
  await settle(sql(), batch!, () => ({}))
  const id = await grownOld(lane)
  await sql()`delete from write where lane_id = ${id}`
  return id
}

const lanes = async (): Promise<string[]> =>
  (await sql()<{ id: string }[]>`select id from lane`).map((row) => row.id)

const laneOfWrite = async (id: string): Promise<string> =>
  (await sql()<{ lane: string }[]>`select lane_id as lane from write where id = ${id}`)[0]!.lane

const somebodyWaitsForALock = () =>
  waitUntil(
    async () => {
      const [row] = await sql()<[{ waiting: number }]>`
        select count(*)::int as waiting from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`
      return row.waiting > 0
    },
    { timeoutMs: 10_000, what: 'somebody to wait for a lock' },
  )

/** Runs `other` while a transaction that has done `first` is still open, and waits for what came of it. */
async function whileOpen<T>(first: (tx: Tx) => Promise<unknown>, other: () => Promise<T>): Promise<T> {
  let result: Promise<T> | undefined
  await sql().begin(async (tx) => {
    await first(tx)
    result = other()
    result.catch(() => undefined)
    await somebodyWaitsForALock()
  })
  return result!
}

describe('a lane that nothing comes to', () => {
  it('goes once its last write can be kept no more', async () => {
    const forsaken = await forsakenLane(laneKey())
    const used = laneKey()
    await addWrites(sql(), [incoming(used)])
    const kept = await laneIdOf(sql(), used)
    expect(await lanes()).toEqual(expect.arrayContaining([forsaken, kept]))
    expect(await keep()).toMatchObject({ lanesRemoved: 1 })
    expect(await lanes()).toEqual([kept])
    expect(await keep()).toMatchObject({ lanesRemoved: 0 })
  })

  it('stays while a write that outlived its day is in it, ended or not', async () => {
    const lane = laneKey({ type: 'update' })
    const recordKey = newId()
    const forsaken = await forsakenLane(lane)
    const hour = 3_600_000
    const old = `${(Date.now() - 60 * 24 * hour)
      .toString(16)
      .padStart(12, '0')
      .replace(/(.{8})/, '$1-')}-7000-8000-000000000001`
    await addWrites(sql(), [incoming(lane, { id: old, recordKey, delaySeconds: 0 })])
    await sql()`update lane set used_at = now() - interval '90 days', due_at = null`
    expect(await laneOfWrite(old)).toBe(forsaken)
    // in a call, so that nothing of the lane says that it has a write
    await sql()`update write set state = 'sending', batch_id = ${newId()} where id = ${old}`
    expect(await keep()).toMatchObject({ lanesRemoved: 0 })
    await sql()`update write set state = 'succeeded', ended_at = now() where id = ${old}`
    expect(await keep()).toMatchObject({ lanesRemoved: 0 })
    await sql()`update write set ended_at = now() - interval '40 days' where id = ${old}`
    expect(await keep()).toMatchObject({ writesRemoved: 1, lanesRemoved: 1 })
  })

  it('stays when anything comes to it: a write, one behind another, one of a synchronous call', async () => {
    const recordKey = newId()
    const lane = laneKey({ type: 'update' })
    const other = { ...lane, objectName: 'Lead' }
    const arrivals: Record<string, () => Promise<unknown>> = {
      write: () => addWrites(sql(), [incoming(lane)]),
      // behind a write of another lane: it is counted in none
      blocked: async () => {
        await addWrites(sql(), [incoming(other, { recordKey }), incoming(lane, { recordKey })])
        await sql()`delete from lane where object_name = 'Lead'`
      },
      synchronous: () => sendNow(incoming(lane)),
    }
    for (const [name, arrive] of Object.entries(arrivals)) {
      const id = await forsakenLane(lane)
      await arrive()
      await sql()`update lane set due_at = null`
      expect(await keep(), name).toMatchObject({ lanesRemoved: 0 })
      expect(await lanes()).toEqual([id])
      await sql()`delete from write`
      await sql()`delete from lane`
    }
  })
})

const sendNow = (submission: Submission) =>
  insertSending(sql(), { submission, batchIds: [newId()], worker: 'test', leaseSeconds: 60 })

describe('a lane on its way out', () => {
  const removal = (id: string) => (tx: Tx) => tx`delete from lane where id = ${id}`.then(() => undefined)

  it('is made anew for a write that comes to it, though it waits behind another', async () => {
    const recordKey = newId()
    const lane = laneKey({ type: 'update' })
    const commits = createGroupCommit({ sql: sql(), nudge: () => Promise.resolve() })
    await commits.add(incoming(lane))
    const id = await grownOld(lane)
    const other = { ...lane, objectName: 'Lead' }
    // a process that knows the lane's id since long ago
    const knowing = createGroupCommit({ sql: sql(), nudge: () => Promise.resolve() })
    await knowing.add(incoming(lane))
    await sql()`delete from write`
    await sql()`update lane set waiting = 0, due_at = null, used_at = now() - interval '90 days' where id = ${id}`
    await addWrites(sql(), [incoming(other, { recordKey })])
    const late = incoming(lane, { recordKey })
    await whileOpen(removal(id), () => knowing.add(late))
    const made = await laneOfWrite(late.writes[0].id)
    expect(made).not.toBe(id)
    expect(await lanes()).toContain(made)
    await expectLanesTrue(sql())
  })

  it('is made anew for a synchronous call', async () => {
    const lane = laneKey()
    const id = await forsakenLane(lane)
    const submission = incoming(lane)
    await whileOpen(removal(id), () => sendNow(submission))
    const made = await laneOfWrite(submission.writes[0].id)
    expect(made).not.toBe(id)
    expect(await lanes()).toEqual([made])
  })

  it('is made anew for a synchronous call that had found it already', async () => {
    const lane = laneKey({ type: 'update' })
    const id = await forsakenLane(lane)
    const submission = incoming(lane, { recordKey: newId() })
    let sent: Promise<unknown> | undefined
    await sql().begin(async (tx) => {
      await lockOrder(tx, [lane.installationId])
      sent = sendNow(submission)
      sent.catch(() => undefined)
      await somebodyWaitsForALock()
      await sql()`delete from lane where id = ${id}`
    })
    await sent
    expect(await lanes()).toEqual([await laneOfWrite(submission.writes[0].id)])
  })

  it('is not removed under an arrival that has not been committed', async () => {
    const id = await forsakenLane(laneKey())
    const report = await whileOpen((tx) => keepLanes(tx, [id]), keep)
    expect(report).toMatchObject({ lanesRemoved: 0 })
    expect(await lanes()).toEqual([id])
  })
})
