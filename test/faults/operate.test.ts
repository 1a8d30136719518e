import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Tx } from '../../src/db/connect.ts'
import { databaseErrorKind } from '../../src/db/pg-errors.ts'
import { newId } from '../../src/kernel/ids.ts'
import type { HandMove, HandRequest, HandResult } from '../../src/model/by-hand.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import { createOperate, type OperateOptions } from '../../src/queue/operate.ts'
import { readByHand } from '../../src/queue/read-by-hand.ts'
import { findDueLanes } from '../../src/queue/sweep.ts'
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
const noNudge = () => Promise.resolve()

beforeAll(async () => {
  database = await createTestDatabase()
  await refuseIllegalMoves(database.sql)
})
afterEach(() => expectLanesTrue(sql()))
afterAll(() => database.drop())

const make = (move: HandMove, asked: HandRequest, nudge: OperateOptions['nudge'] = noNudge) => {
  const hands = createOperate({ sql: sql(), nudge })
  return move === 'resolve' ? hands.resolve(asked, { success: true, recordId: null }) : hands[move](asked)
}
const doubted = { state: 'in_doubt' as const, errors: [{ code: 'OUTCOME_UNKNOWN', message: '', fields: [] }] }

/** An operation that the move fits: queued to be cancelled, else in doubt; and one that waits for its record. */
async function fitFor(move: HandMove) {
  const lane = laneKey({ type: 'update' })
  const recordKey = newId()
  const [id] = await addWrites(sql(), [incoming(lane, { recordKey, delaySeconds: 0 })])
  const laneId = await laneIdOf(sql(), lane)
  if (move !== 'cancel') await settle(sql(), (await claim(sql(), laneId)).batch!, () => doubted)
  await addWrites(sql(), [incoming(lane, { recordKey })])
  return { lane, laneId, id: id!, asked: asks(lane, id!) }
}
const asks = (lane: LaneKey, operationId: string): HandRequest => ({
  projectId: lane.projectId,
  operationId,
  keyId: null,
})

/** All that a move can change. */
const kept = async (lane: LaneKey) => [
  [...(await sql()`select * from write where installation_id = ${lane.installationId} order by id`)],
  [...(await sql()`select * from lane where installation_id = ${lane.installationId} order by id`)],
]

const moves: HandMove[] = ['cancel', 'retry', 'resolve']

describe.each(moves)('%s that breaks', (move) => {
  it('at its last step has changed nothing, and can be made again', async () => {
    const { lane, id, asked } = await fitFor(move)
    const before = await kept(lane)
    const breaks = () => Promise.reject(new Error('no wake-up could be set'))
    await expect(make(move, asked, breaks)).rejects.toThrow('no wake-up could be set')
    expect(await kept(lane)).toEqual(before)
    expect(await readByHand(sql(), id)).toEqual([])
    expect(await make(move, asked)).toEqual({ kind: 'moved' })
    expect(await readByHand(sql(), id)).toHaveLength(1)
  })

  it('with its connection has changed nothing, and says that the database was away', async () => {
    const { lane, id, asked } = await fitFor(move)
    const before = await kept(lane)
    const cut = async (tx: Tx): Promise<void> => {
      await tx`select pg_terminate_backend(pg_backend_pid())`
    }
    const failure: unknown = await make(move, asked, cut).catch((error: unknown) => error)
    expect(databaseErrorKind(failure)).toBe('unavailable')
    expect(await kept(lane)).toEqual(before)
    expect(await readByHand(sql(), id)).toEqual([])
    expect(await make(move, asked)).toEqual({ kind: 'moved' })
  })
})

describe('two transactions that wait for each other', () => {
  it('the move gives way and is made again, once', async () => {
    const lane = laneKey({ type: 'update' })
    const recordKey = newId()
    const [id] = await addWrites(sql(), [incoming(lane, { recordKey })])
    await addWrites(sql(), [incoming({ ...lane, type: 'delete' }, { recordKey })])
    const lanes = await sql()<{ id: string }[]>`
      select id from lane where installation_id = ${lane.installationId} order by id`
    const [first, second] = lanes.map((row) => row.id) as [string, string]
    let moving: Promise<HandResult> | undefined
    await sql().begin(async (tx) => {
      await tx`select from lane where id = ${second} for no key update`
      moving = make('cancel', asks(lane, id!))
      await waitUntil(
        async () => {
          const rows = await sql()`
            select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
          return rows.length > 0
        },
        { timeoutMs: 5_000, what: 'the move to wait' },
      )
      await tx`select from lane where id = ${first} for no key update`
    })
    expect(await moving).toEqual({ kind: 'moved' })
    expect(await readByHand(sql(), id!)).toHaveLength(1)
  })
})

describe('a worker that was lost', () => {
  it('changes nothing of a write that was sent again by hand since', async () => {
    const { laneId, id, asked } = await fitFor('cancel')
    const { batch: lost } = await claim(sql(), laneId)
    // as a rescue does when the lease has run out
    await sql()`update batch set lease_until = now() - interval '1 s' where id = ${lost!.batchId}`
    await settle(sql(), lost!, () => doubted, { onlyExpired: true })
    await make('retry', asked)
    const stale = await settle(sql(), lost!, () => ({ recordId: 'stale' }))
    expect(stale.applied).toBe(false)
    const [row] = await sql()`select state, record_id from write where id = ${id}`
    expect(row).toEqual({ state: 'queued', record_id: null })
  })
})

describe('a wake-up that is lost', () => {
  it('leaves the lane to the sweeper: what goes again and what was freed is due in its lane', async () => {
    const lane = laneKey()
    const [id] = await addWrites(sql(), [incoming(lane, { delaySeconds: 0 })])
    const laneId = await laneIdOf(sql(), lane)
    await settle(sql(), (await claim(sql(), laneId)).batch!, () => ({ state: 'failed' }))
    const isDue = async (of: string) => (await findDueLanes(sql(), 1_000)).some((one) => one.laneId === of)
    expect(await isDue(laneId)).toBe(false)
    await make('retry', asks(lane, id!))
    expect(await isDue(laneId)).toBe(true)

    const updates = laneKey({ type: 'update' })
    const recordKey = newId()
    const [first] = await addWrites(sql(), [incoming(updates, { recordKey })])
    await addWrites(sql(), [incoming(updates, { recordKey, delaySeconds: 0 })])
    const updatesId = await laneIdOf(sql(), updates)
    expect(await isDue(updatesId)).toBe(false)
    await make('cancel', asks(updates, first!))
    expect(await isDue(updatesId)).toBe(true)
  })
})
