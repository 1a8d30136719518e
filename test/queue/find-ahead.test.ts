import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import { findAhead } from '../../src/queue/find-ahead.ts'
import { insertSending } from '../../src/queue/insert-sending.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addWrites,
  claim,
  incoming,
  incomingBatch,
  laneIdOf,
  laneKey,
  settle,
} from '../support/queue-fixture.ts'

let database: TestDatabase
const sql = () => database.sql

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

describe('what is ahead of a write', () => {
  it('is the first unfinished write to its record, of any lane, until it has ended', async () => {
    const recordKey = newId()
    const updates = laneKey({ type: 'update' })
    const deletes = laneKey({ type: 'delete', installationId: updates.installationId })
    const [first] = await addWrites(sql(), [incoming(updates, { recordKey, delaySeconds: 0 })])
    const laneId = await laneIdOf(sql(), updates)
    const [second] = await addWrites(sql(), [incoming(deletes, { recordKey })])
    const [own] = await addWrites(sql(), [incoming(updates, { recordKey })])
    const ahead = () => findAhead(sql(), updates.installationId, [own!])

    expect(await ahead()).toEqual([{ id: first, laneId, waits: true, goesWhole: false, operationId: first }])
    const sent = await claim(sql(), laneId)
    expect(await ahead()).toMatchObject([{ id: first, waits: false }])
    await settle(sql(), sent.batch!, () => ({ state: 'queued', delaySeconds: 600 }))
    expect(await ahead()).toMatchObject([{ id: first, waits: true }])
    await sql()`update write set available_at = now(), due_at = now() where id = ${first!}`
    const again = await claim(sql(), laneId)
    await settle(sql(), again.batch!, () => ({ state: 'failed' }))
    expect(await ahead()).toMatchObject([{ id: second, waits: true }])
  })

  it('is waited for by its own end, or by the end of the last ahead when all of them are in flight', async () => {
    const recordKey = newId()
    const lane = laneKey({ type: 'update' })
    const sending = async (): Promise<string> => {
      const submission = incoming(lane, { recordKey })
      await insertSending(sql(), { submission, batchIds: [newId()], worker: 'test', leaseSeconds: 60 })
      return submission.writes[0].id
    }
    const watched = async (own: string) => {
      const found = await findAhead(sql(), lane.installationId, [own])
      return found.map(({ id, operationId }) => [id, operationId])
    }
    const [first, second, third] = [await sending(), await sending(), await sending()]
    expect(await watched(second)).toEqual([[first, first]])
    expect(await watched(third)).toEqual([[first, second]])
    await addWrites(sql(), [incoming(lane, { recordKey })])
    expect(await watched(await sending())).toEqual([[first, first]])
  })

  it('is nothing for the first of its record, for a create, and whatever others do to other records', async () => {
    const recordKey = newId()
    const lane = laneKey({ type: 'update' })
    const creates = laneKey({ installationId: lane.installationId })
    const elsewhere = laneKey({ type: 'update' })
    await addWrites(sql(), [incoming(elsewhere, { recordKey }), incoming(lane, { recordKey: newId() })])
    const [first, create] = await addWrites(sql(), [incoming(lane, { recordKey }), incoming(creates)])
    await addWrites(sql(), [incoming(lane, { recordKey })])
    expect(await findAhead(sql(), lane.installationId, [first!])).toEqual([])
    expect(await findAhead(sql(), lane.installationId, [create!])).toEqual([])
  })

  it('is one write for each record of a batch, never a member of the batch itself', async () => {
    const [a, b, c] = [newId(), newId(), newId()]
    const lane = laneKey({ type: 'update' })
    const ahead = await addWrites(sql(), [
      incoming(lane, { recordKey: a }),
      incoming(lane, { recordKey: b }),
      incoming(lane, { recordKey: b }),
    ])
    const own = await addWrites(sql(), [
      incomingBatch(lane, [{ recordKey: a }, { recordKey: b }, { recordKey: c }, { recordKey: c }]),
    ])
    const found = await findAhead(sql(), lane.installationId, own)
    expect(found.map((write) => write.id).sort()).toEqual([ahead[0], ahead[1]].sort())
  })

  it('tells a caller-built batch that goes whole, and the operation to wait for', async () => {
    const recordKey = newId()
    const lane = laneKey({ type: 'update', allOrNone: true })
    const batch = incomingBatch(lane, [{ recordKey }, {}])
    const [member] = await addWrites(sql(), [batch])
    const [own] = await addWrites(sql(), [incoming(lane, { recordKey })])
    expect(await findAhead(sql(), lane.installationId, [own!])).toMatchObject([
      { id: member, goesWhole: true, operationId: batch.operation.id },
    ])
  })
})
