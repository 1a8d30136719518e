import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Tx } from '../../src/db/connect.ts'
import { newId } from '../../src/kernel/ids.ts'
import { flushLane } from '../../src/queue/flush-lane.ts'
import { listBatches, listBatchesStatement, type FoundBatches } from '../../src/queue/read-batches.ts'
import { listLanes, listLanesStatement, readLane } from '../../src/queue/read-lanes.ts'
import type { WokenLane } from '../../src/queue/record-order.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
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

/** Lanes of caller-built batches that have ended, and groups, of one installation. */
const MANY = 50_000

let database: TestDatabase
const lane = laneKey()

beforeAll(async () => {
  database = await createTestDatabase()
  const { sql } = database
  await addWrites(sql, [incoming(lane)])
  await sql`
    insert into lane (id, project_id, integration_id, installation_id, object_name, type, key_hash, operation_id)
    select gen_random_uuid(), project_id, integration_id, installation_id, object_name, type, decode(md5(n::text), 'hex'), gen_random_uuid()
    from lane, generate_series(1, ${MANY}::int) as n`
  await sql`
    insert into batch (id, lane_id, installation_id, project_id, call_id, object_name, type, all_or_none, members, attempt, worker,
                       lease_until, state, ended_at)
    select gen_random_uuid(), l.id, case when n % 2 = 0 then l.installation_id else l.id end, l.project_id, l.id, l.object_name, l.type,
      false, array(select id from write), 1, 'test', now(), 'ended', now()
    from lane l, generate_series(1, ${MANY}::int) as n where l.waiting > 0`
  await sql`vacuum analyze lane`
  await sql`vacuum analyze batch`
}, 120_000)
afterAll(() => database.drop())

interface Plan {
  'Index Name'?: string
  'Relation Name'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  Plans?: Plan[]
}
const walk = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(walk)]
const scans = (plan: Plan): Plan[] => walk(plan).filter((node) => node['Relation Name'] !== undefined)

type Statement = ReturnType<typeof listLanesStatement | typeof listBatchesStatement>

async function explain(statement: Statement, on = database): Promise<Plan> {
  const [row] = await on.sql<{ 'QUERY PLAN': { Plan: Plan }[] }[]>`
    explain (analyze, buffers, format json) ${statement}`
  return row!['QUERY PLAN'][0]!.Plan
}

const page = { size: 100, after: null }

describe.each([
  ['lanes', listLanesStatement, 'lane_of_installation'],
  ['groups', listBatchesStatement, 'batch_by_installation'],
] as const)(`the plan of a page of %s`, (_, statement, index) => {
  it('does not grow with what has ended', async () => {
    const plan = await explain(statement(database.sql, lane.installationId, page))
    expect(scans(plan).map((node) => node['Index Name'])).not.toContain(undefined)
    const blocks = plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
    expect(blocks).toBeLessThan(1_500)
  })

  it('is the same when made while the tables are empty', async () => {
    const empty = await createTestDatabase()
    try {
      const plan = await explain(statement(empty.sql, lane.installationId, page), empty)
      const names = scans(plan).map((node) => node['Index Name'])
      expect(names).toContain(index)
      expect(names).not.toContain(undefined)
      expect(
        names.filter((name) => !/^lane_of_installation|batch_by_installation|_pkey|lane_id/.test(name!)),
      ).toEqual([])
    } finally {
      await empty.drop()
    }
  })
})

it('pages of groups hold each once', async () => {
  const seen = new Set<string>()
  let after: string | null = null
  for (;;) {
    const found: FoundBatches = await listBatches(database.sql, lane.installationId, { size: 10_000, after })
    for (const { id } of found.batches) seen.add(id)
    after = found.next
    if (after === null) break
  }
  expect(seen.size).toBe(MANY / 2)
})

it('a page of large groups ends early, and the next one goes on behind it', async () => {
  const { sql } = database
  const key = laneKey()
  const made: string[] = []
  for (const count of [3, 2, 4, 1]) {
    await addWrites(sql, [
      incomingBatch(
        key,
        Array.from({ length: count }, () => ({})),
      ),
    ])
    const [waiting] = await sql<{ id: string }[]>`
      select id from lane where installation_id = ${key.installationId} and due_at is not null`
    made.unshift((await claim(sql, waiting!.id)).batch!.batchId)
  }
  const pageOf = async (after: string | null, size = 10) => {
    const { batches, next } = await listBatches(sql, key.installationId, { size, after }, 5)
    return [batches.map(({ id }) => made.indexOf(id)), next === null ? null : made.indexOf(next)]
  }
  expect(await pageOf(null)).toEqual([[0, 1], 1])
  expect(await pageOf(made[1]!)).toEqual([[2, 3], null])
  expect(await pageOf(null, 1)).toEqual([[0], 0])
  expect(await pageOf(made[2]!, 1)).toEqual([[3], null])
})

describe('a lane', () => {
  it('counts what waits for another try, and not what waits behind an earlier write to its record', async () => {
    const { sql } = database
    const key = laneKey({ type: 'update' })
    const recordKey = newId()
    const [first] = await addWrites(sql, [
      incoming(key, { recordKey, delaySeconds: 0 }),
      incoming(key, { recordKey, delaySeconds: 0 }),
    ])
    const laneId = await laneIdOf(sql, key)
    const { batch } = await claim(sql, laneId)
    expect(await readLane(sql, key.projectId, laneId)).toMatchObject({
      waiting: 0,
      oldestAt: null,
      dueAt: null,
    })
    await settle(sql, batch!, () => ({ state: 'queued', delaySeconds: 60 }))
    const [row] = await sql<{ at: Date }[]>`select accepted_at as at from write where id = ${first!}`
    const [shown] = await listLanes(sql, key.installationId, page)
    expect(shown).toMatchObject({ id: laneId, waiting: 1, oldestAt: row!.at, heldBy: null })
    expect(shown!.dueAt!.getTime()).toBeGreaterThan(Date.now() + 30_000)
  })
})

describe('flushing', () => {
  const flush = async (projectId: string, laneId: string): Promise<WokenLane[]> => {
    const woken: WokenLane[] = []
    const nudge = (_: Tx, wakeups: WokenLane[]): Promise<void> => {
      woken.push(...wakeups)
      return Promise.resolve()
    }
    await flushLane({ sql: database.sql, nudge }, projectId, laneId)
    return woken
  }

  it('makes all that waits due, the oldest first, and nothing that comes later', async () => {
    const { sql } = database
    const key = laneKey()
    const ids = await addWrites(
      sql,
      Array.from({ length: 250 }, () => incoming(key)),
    )
    const laneId = await laneIdOf(sql, key)
    await sql`update lane set held_by = 'quota', due_at = now() + interval '5 minutes' where id = ${laneId}`
    expect(await flush(key.projectId, laneId)).toMatchObject([{ laneId, installationId: key.installationId }])
    expect((await readLane(sql, key.projectId, laneId))!.heldBy).toBeNull()
    const [later] = await addWrites(sql, [incoming(key, { maxRecords: 100 })])
    const sent: string[][] = []
    for (let turn = 0; turn < 3; turn += 1) {
      const { batch } = await claim(sql, laneId)
      sent.push(batch!.members.map(({ id }) => id))
    }
    // the later one rides in the last group's free place
    expect(sent.map((group) => group.length)).toEqual([100, 100, 51])
    expect(sent.flat()).toEqual([...ids, later])
    await addWrites(sql, [incoming(key)])
    expect((await claim(sql, laneId)).batch).toBeNull()
    await expectLanesTrue(sql)
  })

  it('reaches what a limit sends back later', async () => {
    const { sql } = database
    const key = laneKey()
    await addWrites(sql, [incoming(key)])
    const laneId = await laneIdOf(sql, key)
    await flush(key.projectId, laneId)
    const { batch } = await claim(sql, laneId)
    await settle(sql, batch!, () => ({ state: 'queued', spent: false }))
    expect((await claim(sql, laneId)).batch?.members).toHaveLength(1)
  })

  it('wakes nothing where nothing waits, nor a lane of another project', async () => {
    const { sql } = database
    const key = laneKey()
    await addWrites(sql, [incoming(key)])
    const laneId = await laneIdOf(sql, key)
    expect(await flush(newId(), laneId)).toEqual([])
    expect((await claim(sql, laneId)).batch).toBeNull()
    await flush(key.projectId, laneId)
    await claim(sql, laneId)
    expect(await flush(key.projectId, laneId)).toEqual([])
  })
})
