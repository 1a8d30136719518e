import { describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import { onEnded } from '../../src/queue/outcome-channel.ts'
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
import { waitUntil } from '../support/wait-until.ts'
import { asks, failure, keyId, updates, useQueue } from './operate-fixture.ts'

const { sql, woken, told, byHand, rows, states, laneRow, settled } = useQueue()

describe('cancelling', () => {
  it('ends a queued write, and the lane counts the others only', async () => {
    const lane = laneKey()
    const ids = await addWrites(sql(), [incoming(lane), incoming(lane)])
    const laneId = await laneIdOf(sql(), lane)
    expect(await byHand().cancel(asks(lane, ids[0]!))).toEqual({ kind: 'moved' })
    expect(await rows(ids)).toMatchObject([
      { state: 'cancelled', ended: true },
      { state: 'queued', ended: false },
    ])
    expect(await laneRow(laneId)).toMatchObject({ waiting: 1 })
    expect(await readByHand(sql(), ids[0]!)).toMatchObject([
      { move: 'cancel', keyId, records: 1, success: null },
    ])
    expect(await byHand().cancel(asks(lane, ids[0]!))).toEqual({ kind: 'refused', state: 'cancelled' })
  })

  it('leaves a lane that is empty due at no time, and fit for what comes next', async () => {
    const lane = laneKey()
    const [id] = await addWrites(sql(), [incoming(lane, { maxRecords: 1 })])
    const laneId = await laneIdOf(sql(), lane)
    await byHand().cancel(asks(lane, id!))
    expect(await laneRow(laneId)).toMatchObject({ waiting: 0, due_at: null, max_records: 100 })
    const [next] = await addWrites(sql(), [incoming(lane, { delaySeconds: 0 })])
    expect((await claim(sql(), laneId)).batch!.members.map((member) => member.id)).toEqual([next])
  })

  it('takes one that waits for another try too, and keeps its last error', async () => {
    const lane = laneKey()
    const { id } = await settled(lane, () => ({
      state: 'queued',
      delaySeconds: 3600,
      errors: [failure('UNABLE_TO_LOCK_ROW')],
    }))
    expect(await byHand().cancel(asks(lane, id))).toEqual({ kind: 'moved' })
    expect(await rows([id])).toMatchObject([
      { state: 'cancelled', attempts: 1, errors: [{ code: 'UNABLE_TO_LOCK_ROW' }] },
    ])
  })

  it('leaves in doubt one that an earlier try may have written: it is not sent again, and can be resolved', async () => {
    const lane = updates()
    const { id } = await settled(lane, () => ({
      state: 'queued',
      delaySeconds: 3600,
      errors: [failure('ECONNRESET')],
      lost: { company: null },
    }))
    expect(await byHand().cancel(asks(lane, id))).toEqual({ kind: 'moved' })
    expect(await rows([id])).toMatchObject([
      { state: 'in_doubt', ended: true, errors: [{ code: 'OUTCOME_UNKNOWN' }, { code: 'ECONNRESET' }] },
    ])
    expect(await byHand().resolve(asks(lane, id), { success: false, recordId: null })).toEqual({
      kind: 'moved',
    })
    expect(await byHand().retry(asks(lane, id))).toEqual({ kind: 'moved' })
    expect(await byHand().cancel(asks(lane, id))).toEqual({ kind: 'moved' })
    // somebody has looked: it was not written
    expect(await rows([id])).toMatchObject([{ state: 'cancelled' }])
    expect(told).toEqual(['in_doubt OUTCOME_UNKNOWN 1', 'failed SETTLED_BY_HAND 1', 'cancelled CANCELLED 1'])
  })

  it('refuses what is being sent or has ended, and says so', async () => {
    const lane = laneKey()
    const [id] = await addWrites(sql(), [incoming(lane, { delaySeconds: 0 })])
    const { batch } = await claim(sql(), await laneIdOf(sql(), lane))
    expect(await byHand().cancel(asks(lane, id!))).toEqual({ kind: 'refused', state: 'sending' })
    await settle(sql(), batch!, () => ({}))
    expect(await byHand().cancel(asks(lane, id!))).toEqual({ kind: 'refused', state: 'succeeded' })
    expect(await readByHand(sql(), id!)).toEqual([])
  })

  it('frees what waited behind it, in another lane too, and wakes that lane', async () => {
    const lane = updates()
    const other: LaneKey = { ...lane, type: 'delete' }
    const recordKey = newId()
    const [first, second, third] = [
      ...(await addWrites(sql(), [incoming(lane, { recordKey })])),
      ...(await addWrites(sql(), [incoming(other, { recordKey, delaySeconds: 0 })])),
      ...(await addWrites(sql(), [incoming(lane, { recordKey })])),
    ]
    expect((await rows([first!, second!, third!])).map((row) => row.blocked)).toEqual([false, true, true])
    await byHand().cancel(asks(lane, first!))
    expect((await rows([second!, third!])).map((row) => row.blocked)).toEqual([false, true])
    const [row] = await sql()<{ id: string }[]>`
      select id from lane where installation_id = ${lane.installationId} and type = 'delete'`
    expect(woken.map((one) => one.laneId)).toEqual([row!.id])
    await expectLanesTrue(sql())
    // one that is blocked itself frees nobody
    woken.length = 0
    await byHand().cancel(asks(lane, third!))
    expect(woken).toEqual([])
    expect((await claim(sql(), row!.id)).batch!.members.map((member) => member.id)).toEqual([second])
  })

  it('cancels a batch whole, or not once any of it is begun', async () => {
    const lane = updates()
    const [a, b, c] = [newId(), newId(), newId()]
    const [earlier] = await addWrites(sql(), [incoming(lane, { recordKey: a })])
    const whole = incomingBatch(lane, [{ recordKey: a }, { recordKey: b }, { recordKey: c }])
    const ids = await addWrites(sql(), [whole])
    const [behind] = await addWrites(sql(), [incoming(lane, { recordKey: c })])
    expect(await byHand().cancel(asks(lane, ids[0]!))).toEqual({ kind: 'not_found' })
    expect(await byHand().cancel(asks(lane, whole.operation.id))).toEqual({ kind: 'moved' })
    expect(await states(ids)).toEqual(['cancelled', 'cancelled', 'cancelled'])
    expect((await rows([earlier!, behind!])).map((row) => row.blocked)).toEqual([false, false])
    expect(await readByHand(sql(), whole.operation.id)).toMatchObject([{ move: 'cancel', records: 3 }])

    const begun = incomingBatch(updates(), [{ maxRecords: 1 }, {}])
    const beginIds = await addWrites(sql(), [begun])
    await claim(sql(), await laneIdOf(sql(), begun.lane))
    expect(await byHand().cancel(asks(begun.lane, begun.operation.id))).toEqual({
      kind: 'refused',
      state: 'sending',
    })
    expect((await states(beginIds)).sort()).toEqual(['queued', 'sending'])
  })

  it('is announced to those who wait', async () => {
    const heard: string[] = []
    const stop = await onEnded(
      sql(),
      (ids) => heard.push(...ids),
      () => undefined,
    )
    const batch = incomingBatch(laneKey(), [{}, {}])
    await addWrites(sql(), [batch])
    await byHand().cancel(asks(batch.lane, batch.operation.id))
    await waitUntil(() => heard.length > 0, { timeoutMs: 5_000, what: 'the word' })
    expect(heard).toEqual([batch.operation.id])
    await stop()
  })
})
