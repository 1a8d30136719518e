import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import type { Packing } from '../../src/model/object-entry.ts'
import { claimCall, type CallRequest, type ClaimedCall } from '../../src/queue/claim-call.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addWrites,
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

/** Lanes of one installation, one for each object. */
const lanesOf = (count: number): LaneKey[] => {
  const key = laneKey()
  return Array.from({ length: count }, (_, index) => ({ ...key, objectName: `Object${index}__c` }))
}

const idOf = async (key: LaneKey): Promise<string> => {
  const [row] = await sql()<{ id: string }[]>`
    select id from lane where installation_id = ${key.installationId} and object_name = ${key.objectName}`
  return row!.id
}

const add = (key: LaneKey, count: number, delaySeconds: number, part: object = {}): Promise<string[]> =>
  addWrites(
    sql(),
    Array.from({ length: count }, () => incoming(key, { delaySeconds, ...part })),
  )

async function claim(key: LaneKey, packing: Packing, part: Partial<CallRequest> = {}): Promise<ClaimedCall> {
  const laneId = await idOf(key)
  return sql().begin((tx) =>
    claimCall(tx, {
      laneId,
      installationId: key.installationId,
      org: key.installationId,
      packing,
      apiBudgetPercent: 90,
      maxConcurrency: 4,
      worker: 'test',
      leaseSeconds: 60,
      maxBytes: 1_000_000,
      ...part,
    }),
  )
}

const shape = (call: ClaimedCall): string[] =>
  call.batches.map((batch) => `${batch.objectName} ${batch.members.length}`)

describe('the groups of one call', () => {
  it('are those that are ready together, five at the most, in one call of their own id', async () => {
    const lanes = lanesOf(7)
    for (const lane of lanes) await add(lane, 3, 0)
    const call = await claim(lanes[2]!, 'ready')
    expect(shape(call)).toEqual([
      'Object2__c 3',
      'Object0__c 3',
      'Object1__c 3',
      'Object3__c 3',
      'Object4__c 3',
    ])
    const rows = await sql()<{ call_id: string }[]>`
      select call_id from batch where id = any (${call.batches.map((batch) => batch.batchId)}::uuid[])`
    expect(new Set(rows.map((row) => row.call_id))).toEqual(new Set([call.callId]))
    expect(shape(await claim(lanes[0]!, 'ready'))).toEqual(['Object5__c 3', 'Object6__c 3'])
  })

  it('are filled up with further groups of the same lanes', async () => {
    const lanes = lanesOf(2)
    await add(lanes[0]!, 350, 3600)
    await add(lanes[1]!, 120, 3600)
    const call = await claim(lanes[0]!, 'ready')
    expect(shape(call)).toEqual(['Object0__c 100', 'Object1__c 100', 'Object0__c 100', 'Object0__c 100'])
    expect(call.readyAgain).toBe(false)
    const members = call.batches.flatMap((batch) => batch.members.map((member) => member.id))
    expect(new Set(members).size).toBe(400)
  })

  it('leave nothing ready behind that is not said to be', async () => {
    const lanes = lanesOf(5)
    for (const lane of lanes) await add(lane, 200, 3600)
    const first = await claim(lanes[0]!, 'ready')
    expect(shape(first)).toHaveLength(5)
    expect(first.readyAgain).toBe(true)
    const second = await claim(lanes[0]!, 'ready')
    expect(shape(second)).toHaveLength(5)
    expect(second.readyAgain).toBe(false)
    expect(second.batches.every((batch) => batch.members.length === 100)).toBe(true)
  })

  it('take along what is not due yet, next due first, only when something is', async () => {
    const lanes = lanesOf(4)
    await add(lanes[1]!, 2, 600)
    await add(lanes[2]!, 2, 60)
    await add(lanes[3]!, 130, 5_000, { maxRecords: 90 })
    await claim(lanes[3]!, 'none')
    await add(lanes[0]!, 1, 3600)
    expect(shape(await claim(lanes[0]!, 'riders'))).toEqual([])
    await add(lanes[0]!, 1, 0)
    expect(shape(await claim(lanes[0]!, 'riders'))).toEqual([
      'Object0__c 2',
      'Object2__c 2',
      'Object1__c 2',
      'Object3__c 40',
    ])
  })

  it.each(['none', 'ready'] as const)('have no riders with packing %s', async (packing) => {
    const lanes = lanesOf(3)
    await add(lanes[0]!, 1, 0)
    await add(lanes[1]!, 1, 0)
    await add(lanes[2]!, 5, 600)
    expect(shape(await claim(lanes[0]!, packing))).toEqual(
      packing === 'none' ? ['Object0__c 1'] : ['Object0__c 1', 'Object1__c 1'],
    )
    await claim(lanes[1]!, 'none')
  })

  it('never hold a retry before its time, nor a lane that is held', async () => {
    const lanes = lanesOf(3)
    await add(lanes[1]!, 2, 0)
    const tried = await claim(lanes[1]!, 'none')
    await settle(sql(), tried.batches[0]!, () => ({ state: 'queued', delaySeconds: 60 }))
    await add(lanes[2]!, 2, 600)
    await sql()`update lane set held_by = 'connection' where id = ${await idOf(lanes[2]!)}`
    await add(lanes[0]!, 1, 0)
    expect(shape(await claim(lanes[0]!, 'riders'))).toEqual(['Object0__c 1'])
  })

  it('are counted as one call against the installation’s concurrency', async () => {
    const lanes = lanesOf(3)
    for (const lane of lanes) await add(lane, 2, 0)
    expect(shape(await claim(lanes[0]!, 'ready', { maxConcurrency: 1 }))).toHaveLength(3)
    await add(lanes[1]!, 2, 0)
    const second = await claim(lanes[1]!, 'ready', { maxConcurrency: 1 })
    expect(second).toMatchObject({ batches: [], held: { reason: 'concurrency' } })
    const held = await sql()`
      update lane set due_at = now() where id = ${await idOf(lanes[1]!)} and held_by = 'concurrency' and due_at > now()
      returning id`
    expect(held).toHaveLength(1)
    expect(shape(await claim(lanes[1]!, 'ready', { maxConcurrency: 2 }))).toEqual(['Object1__c 2'])
  })

  it('belong to one installation, whoever else is due', async () => {
    const [mine] = lanesOf(1)
    const [other] = lanesOf(1)
    await add(mine!, 1, 0)
    await add(other!, 1, 0)
    const call = await claim(mine!, 'riders')
    expect(call.batches.map((batch) => batch.installationId)).toEqual([mine!.installationId])
    await claim(other!, 'none')
  })

  it('take each write once, whoever claims at the same time', async () => {
    const lanes = lanesOf(6)
    const added = new Set<string>()
    for (const lane of lanes) for (const id of await add(lane, 150, 0)) added.add(id)
    const calls = await Promise.all(
      Array.from({ length: 12 }, (_, index) => claim(lanes[index % 6]!, 'riders', { maxConcurrency: 20 })),
    )
    const claimed = calls.flatMap((call) =>
      call.batches.flatMap((batch) => batch.members.map(({ id }) => id)),
    )
    expect(claimed).toHaveLength(900)
    expect(new Set(claimed)).toEqual(added)
  })
})

describe('children of one parent', () => {
  const child = (parent: string) => ({ parents: [parent] })

  it('share a group, ahead of older writes of other parents, while the oldest write still goes first', async () => {
    const [lane] = lanesOf(1)
    const parents = Array.from({ length: 40 }, () => newId())
    // 200 writes, five for each parent, interleaved
    const ids = await addWrites(
      sql(),
      Array.from({ length: 200 }, (_, index) => incoming(lane!, child(parents[index % 40]!))),
    )
    const call = await claim(lane!, 'none')
    const members = call.batches[0]!.members.map((member) => member.id)
    expect(members).toHaveLength(100)
    expect(members[0]).toBe(ids[0])
    const parentOf = (id: string): number => ids.indexOf(id) % 40
    expect(new Set(members.map(parentOf)).size).toBe(20)
    await claim(lane!, 'none')
  })

  it('are not claimed while a call in flight holds their parent, whatever lane they are in; others are', async () => {
    const [contacts, cases] = lanesOf(2)
    const [hot, cold] = [newId(), newId()]
    await add(contacts!, 2, 0, child(hot))
    const first = await claim(contacts!, 'none')
    await add(cases!, 2, 0, child(hot))
    const [free] = await add(cases!, 1, 0, child(cold))
    const second = await claim(cases!, 'none')
    expect(second.batches[0]!.members.map((member) => member.id)).toEqual([free])
    expect(second.readyAgain).toBe(false)
    const [lane] = await sql()<{ held_by: string; seconds: number }[]>`
      select held_by, extract(epoch from due_at - now())::float8 as seconds from lane where id = ${await idOf(cases!)}`
    expect(lane!.held_by).toBe('parent')
    expect(lane!.seconds).toBeLessThanOrEqual(0.25)
    await settle(sql(), first.batches[0]!, () => ({}))
    await sql()`update lane set due_at = now() where id = ${await idOf(cases!)}`
    expect(shape(await claim(cases!, 'none'))).toEqual(['Object1__c 2'])
  })

  it('may share one call in several groups', async () => {
    const lanes = lanesOf(2)
    const parent = newId()
    for (const lane of lanes) await add(lane, 130, 0, child(parent))
    const call = await claim(lanes[0]!, 'ready')
    expect(shape(call)).toEqual(['Object0__c 100', 'Object1__c 100', 'Object0__c 30', 'Object1__c 30'])
  })

  it('do not keep a lane from its others by their number', async () => {
    const [lane] = lanesOf(1)
    const parent = newId()
    await add(lane!, 100, 0, child(parent))
    await claim(lane!, 'none')
    await add(lane!, 400, 0, child(parent))
    const [free] = await add(lane!, 1, 0)
    const call = await claim(lane!, 'none')
    expect(call.batches[0]!.members.map((member) => member.id)).toEqual([free])
  })

  it('are never in two calls at once, and all leave, in any order of claims and ends', async () => {
    const action = fc.oneof(
      fc.record({ claim: fc.nat(2) }),
      fc.record({ end: fc.nat(10) }),
      fc.record({ add: fc.nat(2), parent: fc.nat(3) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 25 }), async (actions) => {
        const lanes = lanesOf(3)
        const parents = Array.from({ length: 4 }, () => newId())
        for (const lane of lanes) await add(lane, 1, 0, { parents: [parents[0]!], maxRecords: 3 })
        const open: ClaimedCall[] = []
        const step = async (one: (typeof actions)[number]): Promise<void> => {
          if ('add' in one) {
            await add(lanes[one.add]!, 2, 0, { parents: [parents[one.parent]!], maxRecords: 3 })
          } else if ('claim' in one) {
            await sql()`update lane set due_at = least(due_at, now()) where installation_id = ${lanes[0]!.installationId}`
            const call = await claim(lanes[one.claim]!, 'ready', { maxConcurrency: 50 })
            if (call.batches.length > 0) open.push(call)
          } else {
            const [call] = open.splice(one.end % Math.max(open.length, 1), 1)
            for (const batch of call?.batches ?? []) await settle(sql(), batch, () => ({}))
          }
          const doubled = await sql()`
            select parent from (
              select distinct b.call_id, unnest(w.parents) as parent
              from batch b join write w on w.batch_id = b.id and w.state = 'sending'
              where b.installation_id = ${lanes[0]!.installationId} and b.state <> 'ended'
            ) held group by parent having count(*) > 1`
          expect([...doubled]).toEqual([])
        }
        for (const one of actions) await step(one)
        for (let left = 1; left > 0;) {
          for (const index of [0, 1, 2]) await step({ claim: index })
          while (open.length > 0) await step({ end: 0 })
          const [row] = await sql()<{ count: number }[]>`
            select count(*)::int as count from write
            where installation_id = ${lanes[0]!.installationId} and state = 'queued'`
          left = row!.count
        }
      }),
      { numRuns: 12 },
    )
  })
})
