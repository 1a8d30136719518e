import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import { lockForClaim, type ClaimedBatch } from '../../src/queue/claim-batch.ts'
import { claimWrites, type WriteClaim } from '../../src/queue/claim-write.ts'
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

const claimByIds = (laneId: string, writeIds: string[], part: Partial<WriteClaim> = {}) =>
  sql().begin(async (tx) => {
    await lockForClaim(tx, [laneId])
    return claimWrites(tx, {
      laneId,
      writeIds,
      batchId: newId(),
      worker: 'test',
      leaseSeconds: 60,
      maxBytes: 1_000_000,
      whole: false,
      own: true,
      ...part,
    })
  })

const members = (batch: ClaimedBatch | null): string[] => batch?.members.map((member) => member.id) ?? []

const stateOf = async (id: string): Promise<{ state: string; blocked: boolean; batchId: string | null }> => {
  const [row] = await sql()<{ state: string; blocked: boolean; batchId: string | null }[]>`
    select state, blocked, batch_id as "batchId" from write where id = ${id}`
  return row!
}

describe('claiming writes by their ids', () => {
  it('takes a write long before its time, into a batch of its own that says so', async () => {
    const lane = laneKey({ type: 'update', options: { allowDuplicates: true } })
    const parents = [newId(), newId()]
    const [first, second, third] = (await addWrites(sql(), [
      incoming(lane),
      incoming(lane, { record: '{"id":"x"}', ifEmpty: ['Phone'], parents }),
      incoming(lane),
    ])) as [string, string, string]
    const laneId = await laneIdOf(sql(), lane)
    const batch = await claimByIds(laneId, [second])
    expect(batch).toMatchObject({
      laneId,
      installationId: lane.installationId,
      type: 'update',
      options: { allowDuplicates: true },
      isCallersBatch: false,
      members: [{ id: second, position: 0, record: '{"id":"x"}', attempts: 0, ifEmpty: ['Phone'] }],
    })
    expect(batch!.members[0]!.deadlineSeconds).toBeGreaterThan(7_000)
    const [row] = await sql()`
      select state, synchronous, members, attempt, worker, parents, lease_until > now() + interval '50 s' as leased
      from batch where id = ${batch!.batchId}`
    expect(row).toMatchObject({
      state: 'claimed',
      synchronous: true,
      members: [second],
      attempt: 1,
      leased: true,
    })
    expect([...(row!['parents'] as string[])].sort()).toEqual([...parents].sort())
    expect(await stateOf(second)).toEqual({ state: 'sending', blocked: false, batchId: batch!.batchId })
    const states = await Promise.all([first, third].map(stateOf))
    expect(states.map((one) => one.state)).toEqual(['queued', 'queued'])
    await expectLanesTrue(sql())
  })

  it('leaves an emptied lane due at no time, and one with more in it due as before', async () => {
    const lane = laneKey()
    const [first, second] = (await addWrites(sql(), [incoming(lane), incoming(lane)])) as [string, string]
    const laneId = await laneIdOf(sql(), lane)
    const due = async () =>
      (
        await sql()<
          { due_at: Date | null; waiting: number }[]
        >`select due_at, waiting from lane where id = ${laneId}`
      )[0]!
    const before = await due()
    await claimByIds(laneId, [first])
    expect(await due()).toEqual({ due_at: before.due_at, waiting: 1 })
    await expectLanesTrue(sql())
    await claimByIds(laneId, [second])
    expect(await due()).toEqual({ due_at: null, waiting: 0 })
    await expectLanesTrue(sql())
  })

  it('does not count out what was not counted: a write that waits for another try', async () => {
    const lane = laneKey()
    const [first] = await addWrites(sql(), [incoming(lane, { delaySeconds: 0 })])
    const laneId = await laneIdOf(sql(), lane)
    const sent = await claim(sql(), laneId)
    await settle(sql(), sent.batch!, () => ({ state: 'queued', delaySeconds: 600 }))
    await addWrites(sql(), [incoming(lane)])
    const batch = await claimByIds(laneId, [first!])
    expect(batch!.members).toMatchObject([{ id: first, attempts: 1 }])
    const [row] = await sql()`select attempt from batch where id = ${batch!.batchId}`
    expect(row).toEqual({ attempt: 2 })
    await expectLanesTrue(sql())
  })

  it('takes no write that is blocked, in flight or ended, nor one of another lane', async () => {
    const lane = laneKey({ type: 'update' })
    const recordKey = newId()
    const other = laneKey({ installationId: lane.installationId })
    const [head, blocked] = (await addWrites(sql(), [
      incoming(lane, { recordKey }),
      incoming(lane, { recordKey }),
    ])) as [string, string]
    const laneId = await laneIdOf(sql(), lane)
    const [foreign] = await addWrites(sql(), [incoming(other)])
    expect(await claimByIds(laneId, [blocked])).toBeNull()
    expect(await claimByIds(laneId, [foreign!])).toBeNull()
    const batch = await claimByIds(laneId, [head, blocked])
    expect(members(batch)).toEqual([head])
    expect(await claimByIds(laneId, [head])).toBeNull()
    await settle(sql(), batch!, () => ({}))
    expect(await claimByIds(laneId, [head])).toBeNull()
    const batches = await sql()`select id from batch where lane_id = ${laneId}`
    expect(batches).toHaveLength(1)
    await expectLanesTrue(sql())
  })

  it('takes what is named whole or not at all, whatever is blocked', async () => {
    const lane = laneKey({ type: 'update' })
    const recordKey = newId()
    const ids = await addWrites(sql(), [
      incoming(lane, { recordKey, maxRecords: 1 }),
      incoming(lane, { recordKey, maxRecords: 1 }),
      incoming(lane),
    ])
    const laneId = await laneIdOf(sql(), lane)
    const batch = await claimByIds(laneId, [ids[2]!, ids[1]!], { whole: true, maxBytes: 1 })
    expect(members(batch)).toEqual([ids[2], ids[1]])
    await expectLanesTrue(sql())
    expect(await claimByIds(laneId, ids, { whole: true })).toBeNull()
    expect(await stateOf(ids[0]!)).toMatchObject({ state: 'queued' })
  })

  it('takes no more than one group holds: by count, by bytes', async () => {
    const lane = laneKey()
    const small = await addWrites(sql(), [incoming(lane, { maxRecords: 2 }), incoming(lane), incoming(lane)])
    const laneId = await laneIdOf(sql(), lane)
    expect(members(await claimByIds(laneId, small))).toEqual(small.slice(0, 2))
    const big = await addWrites(
      sql(),
      [1, 2, 3].map(() => incoming(lane, { bytes: 400 })),
    )
    expect(members(await claimByIds(laneId, big, { maxBytes: 1_000 }))).toEqual(big.slice(0, 2))
    const many = await addWrites(
      sql(),
      Array.from({ length: 101 }, () => incoming(lane)),
    )
    expect(members(await claimByIds(laneId, many))).toEqual(many.slice(0, 100))
    await expectLanesTrue(sql())
  })

  it('never takes what a group of the lane takes at the same time', async () => {
    const lane = laneKey()
    const ids = await addWrites(
      sql(),
      [1, 2, 3].map(() => incoming(lane, { delaySeconds: 0 })),
    )
    const laneId = await laneIdOf(sql(), lane)
    const held = Promise.withResolvers<undefined>()
    const locked = Promise.withResolvers<undefined>()
    const first = sql().begin(async (tx) => {
      await lockForClaim(tx, [laneId])
      locked.resolve(undefined)
      await held.promise
      return claimWrites(tx, {
        laneId,
        writeIds: [ids[1]!],
        batchId: newId(),
        worker: 'test',
        leaseSeconds: 60,
        maxBytes: 1_000,
        whole: false,
        own: true,
      })
    })
    await locked.promise
    const second = claim(sql(), laneId)
    await waitUntil(
      async () => {
        const [row] = await sql()<{ count: number }[]>`
          select count(*)::int as count from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`
        return row!.count === 1
      },
      { timeoutMs: 5_000, what: 'the second claim to wait for the lane' },
    )
    held.resolve(undefined)
    expect(members(await first)).toEqual([ids[1]])
    expect(members((await second).batch)).toEqual([ids[0], ids[2]])
    await expectLanesTrue(sql())
  })
})
