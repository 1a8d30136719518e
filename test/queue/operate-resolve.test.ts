import { describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import { readByHand } from '../../src/queue/read-by-hand.ts'
import {
  addWrites,
  claim,
  incoming,
  incomingBatch,
  laneIdOf,
  laneKey,
  settle,
} from '../support/queue-fixture.ts'
import { asks, doubted, failure, keyId, updates, useQueue } from './operate-fixture.ts'

const { sql, byHand, rows, states, settled } = useQueue()

describe('settling what is in doubt', () => {
  it('records it as written, with the record', async () => {
    const lane = laneKey()
    const { id } = await settled(lane, () => doubted)
    const recordId = '003RM000006EncrYAC'
    expect(await byHand().resolve(asks(lane, id), { success: true, recordId })).toEqual({ kind: 'moved' })
    expect(await rows([id])).toMatchObject([
      { state: 'succeeded', record_id: recordId, created: true, errors: null, ended: true },
    ])
    expect(await readByHand(sql(), id)).toMatchObject([{ move: 'resolve', success: true, recordId, keyId }])
    const again = await byHand().resolve(asks(lane, id), { success: false, recordId: null })
    expect(again).toEqual({ kind: 'refused', state: 'succeeded' })
  })

  it('records it as failed, with what lost its answer, and it can be sent again', async () => {
    const lane = updates()
    const { id } = await settled(lane, () => doubted)
    await byHand().resolve(asks(lane, id), { success: false, recordId: null })
    expect(await rows([id])).toMatchObject([
      { state: 'failed', record_id: null, created: null, errors: [{ code: 'TIMEOUT' }] },
    ])
    expect(await byHand().retry(asks(lane, id))).toEqual({ kind: 'moved' })
  })

  it('keeps an error in any case', async () => {
    const lane = laneKey()
    const { id } = await settled(lane, () => ({ state: 'in_doubt', errors: [failure('OUTCOME_UNKNOWN')] }))
    await byHand().resolve(asks(lane, id), { success: false, recordId: null })
    expect(await rows([id])).toMatchObject([{ errors: [{ code: 'OUTCOME_UNKNOWN' }] }])
  })

  it('settles all of a batch that is in doubt, and takes a record id for one only', async () => {
    const batch = incomingBatch(laneKey(), [{}, {}, {}])
    const ids = await addWrites(sql(), [batch])
    const laneId = await laneIdOf(sql(), batch.lane)
    await settle(sql(), (await claim(sql(), laneId)).batch!, (index) => (index === 1 ? {} : doubted))
    const asked = asks(batch.lane, batch.operation.id)
    const one = { success: true, recordId: '003RM000006EncrYAC' }
    expect(await byHand().resolve(asked, one)).toEqual({ kind: 'several', count: 2 })
    expect(await states(ids)).toEqual(['in_doubt', 'succeeded', 'in_doubt'])
    expect(await byHand().resolve(asked, { success: false, recordId: null })).toEqual({ kind: 'moved' })
    expect(await states(ids)).toEqual(['failed', 'succeeded', 'failed'])
    expect(await byHand().resolve(asked, { success: true, recordId: null })).toEqual({
      kind: 'refused',
      state: 'partial',
    })
  })

  it('refuses what is not in doubt', async () => {
    const lane = laneKey()
    const { id } = await settled(lane, () => ({ state: 'failed' }))
    const said = { success: true, recordId: null }
    expect(await byHand().resolve(asks(lane, id), said)).toEqual({ kind: 'refused', state: 'failed' })
    await byHand().retry(asks(lane, id))
    expect(await byHand().resolve(asks(lane, id), said)).toEqual({ kind: 'refused', state: 'queued' })
  })
})

describe('every move', () => {
  it('is for the project’s own operations', async () => {
    const lane = laneKey()
    const [queued] = await addWrites(sql(), [incoming(lane)])
    const batch = incomingBatch(laneKey(), [{}])
    await addWrites(sql(), [batch])
    for (const operationId of [queued!, batch.operation.id, newId()]) {
      const asked = { projectId: newId(), operationId, keyId: null }
      for (const result of [
        byHand().cancel(asked),
        byHand().retry(asked),
        byHand().resolve(asked, { success: true, recordId: null }),
      ])
        expect(await result).toEqual({ kind: 'not_found' })
    }
    expect(await states([queued!])).toEqual(['queued'])
    // the operator's own key leaves no name
    await byHand().cancel({ ...asks(lane, queued!), keyId: null })
    expect(await readByHand(sql(), queued!)).toMatchObject([{ keyId: null }])
  })
})
