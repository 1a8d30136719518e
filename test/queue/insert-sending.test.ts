import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import type { ClaimedBatch } from '../../src/queue/claim-batch.ts'
import type { Submission } from '../../src/queue/insert-writes.ts'
import { insertSending } from '../../src/queue/insert-sending.ts'
import { lockOrder } from '../../src/queue/record-order.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addWrites,
  claim,
  expectLanesTrue,
  incoming,
  incomingBatch,
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

const insertAll = (submission: Submission, calls: number) => {
  const batchIds = Array.from({ length: calls }, () => newId())
  return insertSending(sql(), { submission, batchIds, worker: 'test', leaseSeconds: 60 })
}

const insert = async (submission: Submission): Promise<ClaimedBatch> => {
  const [batch, ...others] = await insertAll(submission, 1)
  expect(others).toEqual([])
  return batch!
}

const rowsOf = (ids: string[]) => sql()`
  select id, state, blocked, batch_id as "batchId", lane_id as "laneId", operation_index as place
  from write where id = any (${ids}::uuid[]) order by seq`

describe('recording what a synchronous call writes', () => {
  it('is sending from the start, in a claimed batch, in the lane of its kind', async () => {
    const lane = laneKey()
    await addWrites(sql(), [incoming(lane)])
    const laneId = await laneIdOf(sql(), lane)
    const submission = incoming(lane, { delaySeconds: 0 })
    const batch = await insert(submission)
    expect(batch).toMatchObject({
      laneId,
      objectName: 'Contact',
      members: [{ record: '{"LastName":"Test"}' }],
    })
    expect([...(await rowsOf([submission.writes[0].id]))]).toEqual([
      {
        id: submission.writes[0].id,
        state: 'sending',
        blocked: false,
        batchId: batch.batchId,
        laneId,
        place: null,
      },
    ])
    const [row] = await sql()`select state, synchronous from batch where id = ${batch.batchId}`
    expect(row).toEqual({ state: 'claimed', synchronous: true })
    expect((await claim(sql(), laneId)).batch).toBeNull()
    await expectLanesTrue(sql())
  })

  it('blocks later writes to its record, though earlier ones have not ended', async () => {
    const recordKey = newId()
    const lane = laneKey({ type: 'update' })
    const [earlier] = await addWrites(sql(), [incoming(lane, { recordKey, delaySeconds: 0 })])
    const laneId = await laneIdOf(sql(), lane)
    const submission = incoming(lane, { recordKey })
    const own = await insert(submission)
    const [later] = await addWrites(sql(), [incoming(lane, { recordKey, delaySeconds: 0 })])

    const first = await claim(sql(), laneId)
    expect(first.batch!.members.map((member) => member.id)).toEqual([earlier])
    await settle(sql(), first.batch!, () => ({}))
    // The end of the earlier one frees nothing: the next is in flight.
    expect((await claim(sql(), laneId)).batch).toBeNull()
    await settle(sql(), own, () => ({}))
    expect((await claim(sql(), laneId)).batch!.members.map((member) => member.id)).toEqual([later])
    await expectLanesTrue(sql())
  })

  it('takes its place in the order only when nobody else is adding to it', async () => {
    const lane = laneKey({ type: 'update' })
    const held = Promise.withResolvers<undefined>()
    const locked = Promise.withResolvers<undefined>()
    const other = sql().begin(async (tx) => {
      await lockOrder(tx, [lane.installationId])
      locked.resolve(undefined)
      await held.promise
    })
    await locked.promise
    let inserted = false
    const own = insert(incoming(lane, { recordKey: newId() })).then(() => (inserted = true))
    // A create has no place in any order.
    await insert(incoming(laneKey({ installationId: lane.installationId })))
    await waitUntil(
      async () => {
        const [row] = await sql()<{ count: number }[]>`
          select count(*)::int as count from pg_locks where locktype = 'advisory' and not granted
            and database = (select oid from pg_database where datname = current_database())`
        return row!.count === 1
      },
      { timeoutMs: 5_000, what: 'the call to wait for the order' },
    )
    expect(inserted).toBe(false)
    held.resolve(undefined)
    await Promise.all([other, own])
  })

  it('leaves the earlier write its place when the own one ends first', async () => {
    const recordKey = newId()
    const lane = laneKey({ type: 'update' })
    const [earlier] = await addWrites(sql(), [incoming(lane, { recordKey, delaySeconds: 0 })])
    const own = await insert(incoming(lane, { recordKey }))
    const [later] = await addWrites(sql(), [incoming(lane, { recordKey, delaySeconds: 0 })])
    await settle(sql(), own, () => ({ state: 'failed' }), { called: false })
    const laneId = await laneIdOf(sql(), lane)
    const next = await claim(sql(), laneId)
    expect(next.batch!.members.map((member) => member.id)).toEqual([earlier])
    await settle(sql(), next.batch!, () => ({}))
    expect((await claim(sql(), laneId)).batch!.members.map((member) => member.id)).toEqual([later])
  })

  it('waits behind the earlier write when it is given back to the queue before its turn', async () => {
    const recordKey = newId()
    const lane = laneKey({ type: 'update' })
    const [earlier] = await addWrites(sql(), [incoming(lane, { recordKey, delaySeconds: 0 })])
    const submission = incoming(lane, { recordKey, delaySeconds: 0 })
    const own = await insert(submission)
    await settle(sql(), own, () => ({ state: 'queued' }), { called: false })
    const laneId = await laneIdOf(sql(), lane)
    await expectLanesTrue(sql())
    const first = await claim(sql(), laneId)
    expect(first.batch!.members.map((member) => member.id)).toEqual([earlier])
    await settle(sql(), first.batch!, () => ({}))
    const second = await claim(sql(), laneId)
    expect(second.batch!.members.map((member) => member.id)).toEqual([submission.writes[0].id])
    await expectLanesTrue(sql())
  })

  it('keeps a caller-built batch together: its operation, its lane, the order of its records', async () => {
    const lane = laneKey({ type: 'update', allOrNone: true })
    const submission = incomingBatch(lane, [{ recordKey: newId() }, {}, { recordKey: newId() }])
    const batch = await insert(submission)
    const ids = submission.writes.map((write) => write.id)
    expect(batch).toMatchObject({ allOrNone: true, isCallersBatch: true })
    expect(batch.members.map((member) => member.id)).toEqual(ids)
    const rows = await rowsOf(ids)
    expect(rows.map((row): unknown[] => [row['id'], row['place'], row['state']])).toEqual(
      ids.map((id, place) => [id, place, 'sending']),
    )
    const [operation] = await sql()`
      select o.members, l.id as "laneId" from operation o join lane l on l.operation_id = o.id
      where o.id = ${submission.operation.id}`
    expect(operation).toEqual({ members: ids, laneId: batch.laneId })
    await expectLanesTrue(sql())
  })

  it('is claimed in a batch for each call that it takes, as one operation', async () => {
    const submission = incomingBatch(
      laneKey(),
      Array.from({ length: 1_001 }, () => ({})),
    )
    const batches = await insertAll(submission, 2)
    const ids = submission.writes.map((write) => write.id)
    expect(batches.map(({ members }) => members.length)).toEqual([1_000, 1])
    expect(batches.flatMap(({ members }) => members.map(({ id }) => id))).toEqual(ids)
    const rows = await rowsOf(ids)
    expect(new Set(rows.slice(0, 1_000).map((row): unknown => row['batchId']))).toEqual(
      new Set([batches[0]!.batchId]),
    )
    expect(rows[1_000]).toMatchObject({ batchId: batches[1]!.batchId, place: 1_000, state: 'sending' })
    await expectLanesTrue(sql())
  })

  it('records nothing when one part of it fails', async () => {
    const lane = laneKey()
    const good = incoming(lane)
    const submission = {
      ...good,
      writes: [...good.writes, { ...good.writes[0], id: newId(), maxRecords: 0 }],
    }
    await expect(insert(submission)).rejects.toThrow(/max_records/)
    expect([...(await rowsOf(submission.writes.map((write) => write.id)))]).toEqual([])
    expect([...(await sql()`select id from batch where installation_id = ${lane.installationId}`)]).toEqual(
      [],
    )
  })
})
