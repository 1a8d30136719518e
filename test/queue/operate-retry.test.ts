import { describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import { joinMerged } from '../../src/queue/merge-waiting.ts'
import { readByHand } from '../../src/queue/read-by-hand.ts'
import {
  addWrites,
  claim,
  expectLanesTrue,
  incoming,
  incomingBatch,
  laneIdOf,
  laneKey,
  settle,
} from '../support/queue-fixture.ts'
import { asks, doubted, failure, updates, useQueue } from './operate-fixture.ts'

const { sql, woken, byHand, rows, states, laneRow, settled } = useQueue()

describe('sending again', () => {
  it('queues a failed write, due at once, with the time that it had at first', async () => {
    const lane = laneKey()
    const { id, laneId } = await settled(
      lane,
      () => ({ state: 'failed', errors: [failure('REQUIRED_FIELD_MISSING')], rolledBack: true }),
      { deadlineSeconds: 7200 },
    )
    await sql()`
      update write set accepted_at = accepted_at - interval '1 day', deadline_at = deadline_at - interval '1 day'
      where id = ${id}`
    expect(await byHand().retry(asks(lane, id))).toEqual({ kind: 'moved' })
    const [row] = await rows([id])
    expect(row).toMatchObject({
      state: 'queued',
      ended: false,
      attempts: 1,
      rollbacks: 0,
      errors: [{ code: 'REQUIRED_FIELD_MISSING' }],
    })
    expect(Math.abs(row!.deadline_in - 7200)).toBeLessThan(60)
    expect(woken.map((one) => one.laneId)).toEqual([laneId])
    expect(await laneRow(laneId)).toMatchObject({ soon: true, waiting: 0 })
    await expectLanesTrue(sql())
    const { batch } = await claim(sql(), laneId)
    expect(batch!.members).toMatchObject([{ id, attempts: 1 }])
    await settle(sql(), batch!, () => ({ state: 'failed' }))
    // the span of the second time is that of the first, however long it has been
    await sql()`update hand set at = at - interval '3 days' where operation_id = ${id}`
    await sql()`update write set deadline_at = deadline_at - interval '3 days' where id = ${id}`
    await byHand().retry(asks(lane, id))
    expect(Math.abs((await rows([id]))[0]!.deadline_in - 7200)).toBeLessThan(60)
    expect(await readByHand(sql(), id)).toMatchObject([{ move: 'retry' }, { move: 'retry' }])
    const [attempts] = await sql()`select count(*)::int as count from attempt where write_id = ${id}`
    expect(attempts).toEqual({ count: 1 + 1 })
  })

  it('counts one that was never sent into its lane again', async () => {
    const lane = laneKey()
    const { id, laneId } = await settled(lane, () => ({ state: 'failed' }), { maxRecords: 5 })
    await sql()`update write set attempts = 0 where id = ${id}`
    await byHand().retry(asks(lane, id))
    expect(await laneRow(laneId)).toMatchObject({ waiting: 1, max_records: 5, soon: true })
  })

  it('refuses what is on its way, was written or was cancelled', async () => {
    const lane = laneKey()
    const [id] = await addWrites(sql(), [incoming(lane)])
    expect(await byHand().retry(asks(lane, id!))).toEqual({ kind: 'refused', state: 'queued' })
    await byHand().cancel(asks(lane, id!))
    expect(await byHand().retry(asks(lane, id!))).toEqual({ kind: 'refused', state: 'cancelled' })
    const written = await settled(laneKey({ projectId: lane.projectId }), () => ({}))
    expect(await byHand().retry(asks(lane, written.id))).toEqual({ kind: 'refused', state: 'succeeded' })
  })

  it('goes to the end of its record’s order', async () => {
    const lane = updates()
    const recordKey = newId()
    const { id, laneId } = await settled(lane, () => ({ state: 'failed' }), { recordKey })
    const later = await addWrites(sql(), [
      incoming(lane, { recordKey, delaySeconds: 0 }),
      incoming(lane, { recordKey, delaySeconds: 0 }),
    ])
    await byHand().retry(asks(lane, id))
    expect((await rows([...later, id])).map((row) => row.blocked)).toEqual([false, true, true])
    const [last] = await addWrites(sql(), [incoming(lane, { recordKey, delaySeconds: 0 })])
    const sent: string[] = []
    for (let batch = (await claim(sql(), laneId)).batch; batch; batch = (await claim(sql(), laneId)).batch) {
      expect(batch.members).toHaveLength(1)
      sent.push(batch.members[0]!.id)
      await settle(sql(), batch, () => ({}))
    }
    expect(sent).toEqual([...later, id, last])
  })

  it('of one that was sent as one with others is by itself, and hastens what it will be one with', async () => {
    const lane = updates({ merge: true })
    const recordKey = newId()
    const ids = await addWrites(sql(), [
      incoming(lane, { recordKey, delaySeconds: 0 }),
      incoming(lane, { recordKey, delaySeconds: 0 }),
    ])
    const laneId = await laneIdOf(sql(), lane)
    const take = async () => {
      const { batch } = await claim(sql(), laneId)
      await sql().begin((tx) => joinMerged(tx, batch!))
      return batch!
    }
    await settle(sql(), await take(), () => doubted)
    expect((await rows(ids)).map((row) => row.merged)).toEqual([true, true])
    const [head] = await addWrites(sql(), [incoming(lane, { recordKey, delaySeconds: 3600 })])
    woken.length = 0
    await byHand().retry(asks(lane, ids[0]!))
    expect(woken.map((one) => one.laneId)).toEqual([laneId])
    expect((await rows(ids)).map(({ state, merged }) => [state, merged])).toEqual([
      ['queued', false],
      ['in_doubt', true],
    ])
    const batch = await take()
    expect(batch.members.map(({ id, position }) => [id, position])).toEqual([
      [head, 0],
      [ids[0], 0],
    ])
    await settle(sql(), batch, () => ({}))
  })

  it('sends again what is not written of a batch, in the caller’s order', async () => {
    const batch = incomingBatch(laneKey(), [{}, {}, {}, {}])
    const ids = await addWrites(sql(), [batch])
    const laneId = await laneIdOf(sql(), batch.lane)
    const outcomes = [{ state: 'failed' as const }, {}, doubted, { state: 'failed' as const }]
    await settle(sql(), (await claim(sql(), laneId)).batch!, (index) => outcomes[index]!)
    expect(await byHand().retry(asks(batch.lane, batch.operation.id))).toEqual({ kind: 'moved' })
    expect(await states(ids)).toEqual(['queued', 'succeeded', 'queued', 'queued'])
    expect(await readByHand(sql(), batch.operation.id)).toMatchObject([{ move: 'retry', records: 3 }])
    const again = (await claim(sql(), laneId)).batch!
    expect(again.members.map((member) => member.id)).toEqual([ids[0], ids[2], ids[3]])
    expect(await byHand().retry(asks(batch.lane, batch.operation.id))).toEqual({
      kind: 'refused',
      state: 'sending',
    })
    await settle(sql(), again, () => ({}))
  })

  it('waits until all of a batch has ended, and so does settling it', async () => {
    const batch = incomingBatch(laneKey(), [{ maxRecords: 1 }, {}])
    const ids = await addWrites(sql(), [batch])
    const laneId = await laneIdOf(sql(), batch.lane)
    await settle(sql(), (await claim(sql(), laneId)).batch!, () => doubted)
    expect(await states(ids)).toEqual(['in_doubt', 'queued'])
    const asked = asks(batch.lane, batch.operation.id)
    const open = { kind: 'refused', state: 'sending' }
    expect(await byHand().retry(asked)).toEqual(open)
    expect(await byHand().resolve(asked, { success: true, recordId: null })).toEqual(open)
    expect(await states(ids)).toEqual(['in_doubt', 'queued'])
  })

  it('keeps two of one batch that name one record apart', async () => {
    const recordKey = newId()
    const batch = incomingBatch(updates(), [{ recordKey }, { recordKey }])
    const ids = await addWrites(sql(), [batch])
    const laneId = await laneIdOf(sql(), batch.lane)
    for (const id of ids) {
      const claimed = (await claim(sql(), laneId)).batch!
      expect(claimed.members.map((member) => member.id)).toEqual([id])
      await settle(sql(), claimed, () => ({ state: 'failed' }))
    }
    await byHand().retry(asks(batch.lane, batch.operation.id))
    expect((await rows(ids)).map((row) => row.blocked)).toEqual([false, true])
    expect((await claim(sql(), laneId)).batch!.members.map((member) => member.id)).toEqual([ids[0]])
  })

  it('sends a batch with allOrNone whole or not at all', async () => {
    const batch = incomingBatch(laneKey({ allOrNone: true }), [{}, {}])
    const ids = await addWrites(sql(), [batch])
    const laneId = await laneIdOf(sql(), batch.lane)
    await settle(sql(), (await claim(sql(), laneId)).batch!, (index) =>
      index === 0 ? { state: 'failed' } : doubted,
    )
    await byHand().retry(asks(batch.lane, batch.operation.id))
    const again = (await claim(sql(), laneId)).batch!
    expect(again.members.map((member) => member.id)).toEqual(ids)
    await settle(sql(), again, (index) => (index === 0 ? { state: 'failed' } : doubted))
    await byHand().resolve(asks(batch.lane, batch.operation.id), { success: true, recordId: null })
    expect(await byHand().retry(asks(batch.lane, batch.operation.id))).toEqual({
      kind: 'refused',
      state: 'partial',
    })
  })
})
