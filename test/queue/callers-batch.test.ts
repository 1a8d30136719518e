import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import type { ClaimedBatch } from '../../src/queue/claim-batch.ts'
import { claimOperation, findQueuedOperation } from '../../src/queue/promote-operation.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addWrites,
  claim,
  expectLanesTrue,
  incoming,
  incomingBatch,
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

const laneOf = async (operationId: string): Promise<string> => {
  const [row] = await sql()<{ id: string }[]>`select id from lane where operation_id = ${operationId}`
  return row!.id
}

const memberIds = (batch: ClaimedBatch | null): string[] => batch?.members.map(({ id }) => id) ?? []

async function add(allOrNone: boolean, recordKeys: (string | null)[], installationId = newId()) {
  const key = laneKey({ type: 'update', allOrNone, installationId })
  const submission = incomingBatch(
    key,
    recordKeys.map((recordKey) => ({ recordKey })),
  )
  const ids = await addWrites(sql(), [submission])
  return { key, ids, operationId: submission.operation.id, laneId: await laneOf(submission.operation.id) }
}

describe('a caller-built batch', () => {
  it('leaves at once, in the caller’s order, and never with anything else', async () => {
    const { key, ids, laneId } = await add(false, [newId(), newId(), newId()])
    const [other] = await addWrites(sql(), [incoming(key, { delaySeconds: 0 })])
    const { batch } = await claim(sql(), laneId)
    expect(memberIds(batch)).toEqual(ids)
    expect(batch!.isCallersBatch).toBe(true)
    expect(ids).not.toContain(other)
    await settle(sql(), batch!, () => ({}))
  })

  it('ends once the last of its members has', async () => {
    const { ids, operationId, laneId } = await add(false, [newId(), newId()])
    const first = (await claim(sql(), laneId)).batch!
    const partly = await settle(sql(), first, (index) =>
      index === 0 ? {} : { state: 'queued', delaySeconds: 0 },
    )
    expect(partly.ended).toEqual([])
    const second = (await claim(sql(), laneId)).batch!
    expect(memberIds(second)).toEqual([ids[1]])
    const rest = await settle(sql(), second, () => ({ state: 'failed' }))
    expect(rest.ended).toEqual([operationId])
  })

  it('with allOrNone waits as a whole while a record of it has an earlier write, and leaves whole then', async () => {
    const [x, y] = [newId(), newId()]
    const earlier = laneKey({ type: 'update' })
    const [id] = await addWrites(sql(), [incoming(earlier, { delaySeconds: 0, recordKey: x })])
    const { ids, laneId } = await add(true, [y, x], earlier.installationId)
    const waiting = await claim(sql(), laneId)
    expect(waiting.batch).toBeNull()
    expect(waiting.readyAgain).toBe(false)
    expect(waiting.nextDueAt!.getTime() - Date.now()).toBeLessThanOrEqual(1_000)
    const [lane] = await sql()<{ id: string }[]>`
      select id from lane where installation_id = ${earlier.installationId} and operation_id is null`
    const first = (await claim(sql(), lane!.id)).batch!
    expect(memberIds(first)).toEqual([id])
    const settled = await settle(sql(), first, () => ({}))
    expect(settled.wake.map((one) => one.laneId)).toContain(laneId)
    const { batch } = await claim(sql(), laneId)
    expect(memberIds(batch)).toEqual(ids)
    await settle(sql(), batch!, () => ({}))
  })

  it('with allOrNone goes again whole, whatever its members were told of smaller groups and bytes', async () => {
    const { ids, laneId } = await add(true, [newId(), newId(), newId()])
    const first = (await claim(sql(), laneId, 1)).batch!
    expect(memberIds(first)).toEqual(ids)
    await settle(sql(), first, () => ({ state: 'queued', delaySeconds: 0, maxRecords: 1 }))
    const again = (await claim(sql(), laneId, 1)).batch!
    expect(memberIds(again)).toEqual(ids)
    await settle(sql(), again, () => ({}))
  })

  it('with allOrNone leaves whole though it is larger than a group that forms by itself', async () => {
    const { ids, laneId } = await add(true, Array.from({ length: 200 }, newId))
    const { batch, nextDueAt } = await claim(sql(), laneId)
    expect(memberIds(batch)).toEqual(ids)
    expect(nextDueAt).toBeNull()
    await settle(sql(), batch!, () => ({}))
  })

  it('without allOrNone leaves in groups, however large it is', async () => {
    const { ids, laneId } = await add(false, Array.from({ length: 230 }, newId))
    const groups = []
    for (let group = 0; group < 3; group += 1) groups.push((await claim(sql(), laneId)).batch!)
    expect(groups.map((batch) => memberIds(batch).length)).toEqual([100, 100, 30])
    expect(groups.flatMap(memberIds)).toEqual(ids)
    for (const batch of groups) await settle(sql(), batch, () => ({}))
  })

  it('is taken over whole or not at all, however many calls it takes', async () => {
    const { ids, laneId, operationId, key } = await add(false, Array.from({ length: 1_001 }, newId))
    const operation = (await findQueuedOperation(sql(), key.projectId, operationId))!
    const take = () =>
      claimOperation(sql(), operation, { batchIds: [newId(), newId()], worker: 'test', leaseSeconds: 60 })
    const last = ids.at(-1)!
    await sql()`update write set state = 'failed', ended_at = now() where id = ${last}`
    expect(await take()).toBe('sending')
    const [moved] =
      await sql()`select count(*)::int as count from write where lane_id = ${laneId} and state = 'sending'`
    expect(moved).toEqual({ count: 0 })
    await sql()`update write set state = 'queued', ended_at = null where id = ${last}`
    const batches = await take()
    if (typeof batches === 'string') throw new Error(batches)
    expect(batches.map((batch) => memberIds(batch).length)).toEqual([1_000, 1])
    expect(batches.flatMap(memberIds)).toEqual(ids)
    for (const batch of batches) await settle(sql(), batch, () => ({}))
  })

  it('without allOrNone sends what can be sent, and holds back only the record that waits', async () => {
    const [x, y] = [newId(), newId()]
    const earlier = laneKey({ type: 'update' })
    await addWrites(sql(), [incoming(earlier, { recordKey: x })])
    const { ids, laneId } = await add(false, [x, y], earlier.installationId)
    const { batch } = await claim(sql(), laneId)
    expect(memberIds(batch)).toEqual([ids[1]])
    await settle(sql(), batch!, () => ({}))
  })
})

describe('settling', () => {
  async function claimed(count: number) {
    const key = laneKey({ type: 'update' })
    const ids = await addWrites(
      sql(),
      Array.from({ length: count }, () => incoming(key, { delaySeconds: 0, recordKey: newId() })),
    )
    const [lane] = await sql()<
      { id: string }[]
    >`select id from lane where installation_id = ${key.installationId}`
    return { key, ids, laneId: lane!.id, batch: (await claim(sql(), lane!.id)).batch! }
  }
  const rowsOf = (ids: string[]) => sql()<
    {
      state: string
      attempts: number
      deferrals: number
      batch_id: string
      max_records: number
      due: boolean
    }[]
  >`select state, attempts, deferrals, batch_id, max_records, available_at <= now() as due
    from write where id = any (${ids}::uuid[]) order by seq`

  it('spends no attempt on a call that a limit turned away, keeps the place, and logs it all the same', async () => {
    const { ids, laneId, batch } = await claimed(2)
    const before =
      await sql()`select available_at, due_at from write where id = any (${ids}::uuid[]) order by seq`
    await settle(sql(), batch, () => ({ state: 'queued', spent: false }))
    expect(await rowsOf(ids)).toMatchObject(Array(2).fill({ state: 'queued', attempts: 0, deferrals: 1 }))
    const after =
      await sql()`select available_at, due_at from write where id = any (${ids}::uuid[]) order by seq`
    expect([...after]).toEqual([...before])
    const again = (await claim(sql(), laneId)).batch!
    await settle(sql(), again, () => ({}))
    expect(await rowsOf(ids)).toMatchObject(Array(2).fill({ state: 'succeeded', attempts: 1, deferrals: 1 }))
    const attempts = await sql()<{ number: number; decision: string }[]>`
      select number, decision from attempt where write_id = ${ids[0]!} order by number`
    expect([...attempts]).toEqual([
      { number: 1, decision: 'deferred' },
      { number: 2, decision: 'succeeded' },
    ])
  })

  it('lets a retry go in smaller groups only', async () => {
    const { ids, laneId, batch } = await claimed(10)
    await settle(sql(), batch, () => ({ state: 'queued', delaySeconds: 0, maxRecords: 3 }))
    expect((await rowsOf(ids)).map((row) => row.max_records)).toEqual(Array(10).fill(3))
    const sizes: number[] = []
    for (let group = 0; group < 4; group += 1) {
      const part = (await claim(sql(), laneId)).batch!
      sizes.push(part.members.length)
      await settle(sql(), part, () => ({}))
    }
    expect(sizes).toEqual([3, 3, 3, 1])
  })

  it('keeps members for another try in a batch of its own, which a stale settlement cannot touch', async () => {
    const { ids, batch } = await claimed(3)
    const next = newId()
    const settled = await settle(sql(), batch, (index) => (index === 0 ? {} : { state: 'sending' }), {
      next: { batchId: next, leaseSeconds: 60 },
    })
    expect(settled.ended).toEqual([ids[0]])
    expect(await rowsOf(ids)).toMatchObject([
      { state: 'succeeded', attempts: 1 },
      { state: 'sending', attempts: 1, batch_id: next },
      { state: 'sending', attempts: 1, batch_id: next },
    ])
    const [made] = await sql()<{ members: string[]; attempt: number; state: string }[]>`
      select members, attempt, state from batch where id = ${next}`
    expect(made).toEqual({ members: ids.slice(1), attempt: batch.members[0]!.attempts + 2, state: 'claimed' })
    await settle(sql(), batch, () => ({ state: 'failed' }))
    expect((await rowsOf(ids)).map((row) => row.state)).toEqual(['succeeded', 'sending', 'sending'])
    await settle(sql(), { ...batch, batchId: next, members: batch.members.slice(1) }, () => ({}))
    expect(await rowsOf(ids)).toMatchObject([{}, { attempts: 2 }, { attempts: 2 }])
    expect((await rowsOf(ids)).map((row) => row.state)).toEqual(Array(3).fill('succeeded'))
  })
})
