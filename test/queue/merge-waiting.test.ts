import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import type { ClaimedBatch } from '../../src/queue/claim-batch.ts'
import { companyOf } from '../../src/model/lost-try.ts'
import { findExpiredBatches } from '../../src/queue/sweep.ts'
import { joinMerged } from '../../src/queue/merge-waiting.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addWrites,
  claim,
  expectLanesTrue,
  incoming,
  laneKey,
  refuseIllegalMoves,
  settle,
} from '../support/queue-fixture.ts'

let database: TestDatabase
const sql = () => database.sql

beforeAll(async () => {
  database = await createTestDatabase()
  await refuseIllegalMoves(database.sql)
})
afterEach(() => expectLanesTrue(sql()))
afterAll(() => database.drop())

const merging = (): LaneKey => laneKey({ type: 'update', merge: true })

/** Adds one write to a record after the other; each in a commit of its own. */
async function add(lane: LaneKey, ...recordKeys: string[]): Promise<string[]> {
  const ids: string[] = []
  for (const recordKey of recordKeys)
    ids.push(...(await addWrites(sql(), [incoming(lane, { delaySeconds: 0, recordKey })])))
  return ids
}

const idOf = async (key: LaneKey): Promise<string> => {
  const [row] = await sql()<{ id: string }[]>`
    select id from lane where installation_id = ${key.installationId} and type = ${key.type} and merge = ${key.merge}`
  return row!.id
}

/** Claims the lane's next group and takes in what can be sent as one with it. */
async function take(key: LaneKey): Promise<ClaimedBatch> {
  const { batch } = await claim(sql(), await idOf(key))
  if (batch === null) throw new Error('nothing was ready')
  await sql().begin((tx) => joinMerged(tx, batch))
  return batch
}

const placed = (batch: ClaimedBatch): [string, number][] =>
  batch.members.map(({ id, position }) => [id, position])

const rows = (ids: string[]) => sql()<{ id: string; state: string; blocked: boolean; merged: boolean }[]>`
  select id, state, blocked, merged from write where id = any (${ids}::uuid[]) order by seq`

describe('writes to one record that wait in one lane with merge', () => {
  it('are taken together, each at the place of the first of its record, in their order', async () => {
    const lane = merging()
    const [a, b] = [newId(), newId()]
    const ids = await add(lane, a, b, a, a, b)
    const batch = await take(lane)
    expect(placed(batch)).toEqual([
      [ids[0], 0],
      [ids[1], 1],
      [ids[2], 0],
      [ids[3], 0],
      [ids[4], 1],
    ])
    const [kept] = await sql()<{ members: string[] }[]>`select members from batch where id = ${batch.batchId}`
    expect(new Set(kept!.members)).toEqual(new Set(ids))
    await settle(sql(), batch, () => ({ state: 'succeeded', recordId: 'r' }))
    expect((await rows(ids)).map((row) => [row.state, row.merged])).toEqual(
      Array(5).fill(['succeeded', true]),
    )
  })

  it('leave a write of its own unmarked', async () => {
    const lane = merging()
    const [id] = await add(lane, newId())
    await settle(sql(), await take(lane), () => ({}))
    expect(await rows([id!])).toMatchObject([{ state: 'succeeded', merged: false }])
  })

  it('stop at a write of another lane to the record: what comes after it is sent after it', async () => {
    const lane = merging()
    const other: LaneKey = { ...lane, type: 'delete', merge: false }
    const record = newId()
    const [first, second] = await add(lane, record, record)
    const [between] = await add(other, record)
    const [last] = await add(lane, record)
    const batch = await take(lane)
    expect(placed(batch).map(([id]) => id)).toEqual([first, second])
    expect((await claim(sql(), await idOf(other))).batch).toBeNull()
    await settle(sql(), batch, () => ({}))
    const deletion = await claim(sql(), await idOf(other))
    expect(deletion.batch!.members.map(({ id }) => id)).toEqual([between])
    await settle(sql(), deletion.batch!, () => ({}))
    const rest = await take(lane)
    expect(placed(rest).map(([id]) => id)).toEqual([last])
    await settle(sql(), rest, () => ({}))
  })

  it('take their places again when the call has to be made again, and are taken together again', async () => {
    const lane = merging()
    const record = newId()
    const ids = await add(lane, record, record, record)
    const batch = await take(lane)
    const [late] = await add(lane, record)
    await settle(sql(), batch, () => ({ state: 'queued', delaySeconds: 0 }))
    expect((await rows(ids)).map((row) => [row.state, row.blocked, row.merged])).toEqual([
      ['queued', false, false],
      ['queued', true, false],
      ['queued', true, false],
    ])
    const again = await take(lane)
    expect(placed(again)).toEqual([...ids, late].map((id) => [id, 0]))
    await settle(sql(), again, () => ({}))
  })

  it('take nobody along who was not there when the answer was lost', async () => {
    const lane = merging()
    const record = newId()
    const ids = await add(lane, record, record)
    const batch = await take(lane)
    const [late] = await add(lane, record)
    await settle(sql(), batch, () => ({
      state: 'queued',
      delaySeconds: 0,
      lost: { company: companyOf(ids) },
    }))
    const again = await take(lane)
    expect(placed(again)).toEqual(ids.map((id) => [id, 0]))
    await settle(sql(), again, () => ({}))
    const last = await take(lane)
    expect(placed(last)).toEqual([[late, 0]])
    await settle(sql(), last, () => ({}))
  })

  it('are known as one record to the rescue of a lost worker', async () => {
    const lane = merging()
    const [a, b] = [newId(), newId()]
    const ids = await add(lane, a, b, a)
    const batch = await take(lane)
    await sql()`update batch set lease_until = now() - interval '1 second' where id = ${batch.batchId}`
    const expired = await findExpiredBatches(sql(), 0, 100)
    const found = expired.find(({ batchId }) => batchId === batch.batchId)
    expect(found!.members.map(({ id, position }) => [id, position])).toEqual([
      [ids[0], 0],
      [ids[1], 1],
      [ids[2], 0],
    ])
    await settle(sql(), batch, () => ({}))
  })

  it('go one after the other once they are to go alone', async () => {
    const lane = merging()
    const record = newId()
    const ids = await add(lane, record, record, record)
    await settle(sql(), await take(lane), () => ({ state: 'queued', delaySeconds: 0, alone: true }))
    for (const id of ids) {
      const batch = await take(lane)
      expect(placed(batch)).toEqual([[id, 0]])
      await settle(sql(), batch, () => ({ state: id === ids[1] ? 'failed' : 'succeeded' }))
    }
    expect((await rows(ids)).map((row) => row.state)).toEqual(['succeeded', 'failed', 'succeeded'])
  })

  it('free what is left of them when the first has ended and others go again', async () => {
    const lane = merging()
    const record = newId()
    const ids = await add(lane, record, record, record)
    const batch = await take(lane)
    await settle(sql(), batch, (index) =>
      index === 0 ? { state: 'failed' } : { state: 'queued', delaySeconds: 0 },
    )
    const again = await take(lane)
    expect(placed(again)).toEqual(ids.slice(1).map((id) => [id, 0]))
    await settle(sql(), again, () => ({}))
  })
})
