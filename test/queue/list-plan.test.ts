import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { OperationFilter } from '../../src/model/following.ts'
import { findOperations, findStatement } from '../../src/queue/list-operations.ts'
import { readStatement } from '../../src/queue/read.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { addWrites, incoming, incomingBatch, laneKey } from '../support/queue-fixture.ts'

/** Writes of ours, spread over ten days; as many of another installation. */
const MANY = 100_000
const BATCHES = 2_000
/** Moves by hand, spread over as many days. */
const MOVES = 28_000

let database: TestDatabase
const lane = laneKey()

beforeAll(async () => {
  database = await createTestDatabase()
  const { sql } = database
  await sql`select make_partitions(current_date - 10, current_date)`
  const batch = incomingBatch(lane, [{}, {}])
  const [ours] = await addWrites(sql, [incoming(lane, { reference: 'row' }), batch])
  const [theirs] = await addWrites(sql, [incoming(laneKey(), { reference: 'row' })])
  const copies = (id: string, part: number) => sql`
    insert into write (id, lane_id, installation_id, project_id, config_id, object_name, record, bytes, max_records,
                       available_at, due_at, deadline_at, accepted_at, updated_at, reference, state, ended_at)
    select overlay(gen_random_uuid()::text placing left(uuid_at(now() - make_interval(mins => n % 14000))::text, 13) from 1 for 13)::uuid,
      lane_id, installation_id, project_id, config_id, object_name, record, bytes, max_records,
      available_at, due_at, deadline_at, accepted_at, updated_at, case when n % 100 = 0 then 'row-' || n end,
      case when n % 5000 = 0 then 'failed' when n % 5000 = 1 then 'queued' else 'succeeded' end,
      case when n % 5000 = 1 then null else now() end
    from write, generate_series(${(part * MANY) / 2 + 1}::int, ${((part + 1) * MANY) / 2}::int) as n where id = ${id}`
  for (const id of [ours!, theirs!]) for (const part of [0, 1]) await copies(id, part)
  await sql`
    insert into operation (id, project_id, integration_id, installation_id, config_id, object_name, type, all_or_none, members, accepted_at)
    select overlay(gen_random_uuid()::text placing left(uuid_at(now() - make_interval(mins => n))::text, 13) from 1 for 13)::uuid,
      project_id, integration_id, installation_id, config_id, object_name, type, all_or_none, members, accepted_at
    from operation, generate_series(1, ${BATCHES}::int) as n where id = ${batch.operation.id}`
  await sql`
    insert into hand (operation_id, number, move, records, at)
    select id, 1, 'retry', 1, now() - make_interval(mins => (n % 14000)::int)
    from (select id, row_number() over (order by random()) as n from write where operation_id is null limit ${MOVES}::int) moved`
  await sql`vacuum analyze hand`
  await sql`vacuum analyze write`
  await sql`vacuum analyze operation`
}, 180_000)
afterAll(() => database.drop())

interface Plan {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  Plans?: Plan[]
}

const walk = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(walk)]
const scans = (plan: Plan): Plan[] =>
  walk(plan).filter((node) => /^(write|operation|hand)/.test(node['Relation Name'] ?? ''))
const blocks = (plan: Plan): number => plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
/** Rows of writes and batches that the plan came by. */
const rowsRead = (plan: Plan): number =>
  scans(plan)
    .map((node) => (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'])
    .reduce((sum, rows) => sum + rows, 0)

type Statement = ReturnType<typeof findStatement | typeof readStatement>

async function explain(statement: Statement, on = database): Promise<Plan> {
  const [row] = await on.sql<{ 'QUERY PLAN': { Plan: Plan }[] }[]>`
    explain (analyze, buffers, format json) ${statement}`
  return row!['QUERY PLAN'][0]!.Plan
}

const size = 100
const all: OperationFilter = { status: null, objectName: null, reference: null, movedAfter: null }
const filters: [string, OperationFilter, number][] = [
  ['everything', all, 4 * (size + 1)],
  ['in_progress', { ...all, status: 'in_progress' }, size + 1 + 200 + 400],
  ['success', { ...all, status: 'success' }, size + 1 + 200 + 400],
  ['failure', { ...all, status: 'failure' }, size + 1 + 200 + 400],
  ['a reference', { ...all, reference: 'row-12000' }, 2],
  ['moved by hand', { ...all, movedAfter: new Date(Date.now() - 3_600_000) }, 1_000],
  ['an object', { ...all, objectName: 'Nope' }, 3 * 20_000 + 200],
]

describe(`the plan of a page among ${MANY} operations`, () => {
  it.each(filters)('%s: walks its indexes for no more rows than it looks at', async (_, filter, most) => {
    const { installationId } = lane
    const [half] = await database.sql<{ id: string }[]>`select uuid_at(now() - interval '4 days') as id`
    for (const after of [null, half!.id]) {
      const page = await findOperations(database.sql, installationId, filter, { size, after })
      if (filter.objectName === null) expect(page.ids.length).toBeGreaterThan(0)
      const plan = await explain(findStatement(database.sql, installationId, filter, { size, after }))
      const nodes = scans(plan)
      expect(nodes.filter((node) => node['Index Name'] === undefined)).toEqual([])
      // one row more for each partition of each walk: they are merged
      expect(rowsRead(plan)).toBeLessThan(most + 4 * 25)
      expect(blocks(plan)).toBeLessThan(most < 10_000 ? 4_000 : 80_000)
    }
  })

  it('reading a page by its ids costs by the page, not by the table', async () => {
    const { ids } = await findOperations(database.sql, lane.installationId, all, { size, after: null })
    const plan = await explain(readStatement(database.sql, lane.projectId, ids))
    expect(scans(plan).filter((node) => node['Index Name'] === undefined)).toEqual([])
    expect(rowsRead(plan)).toBeLessThan(6 * size)
    expect(blocks(plan)).toBeLessThan(30 * size)
  })
})

describe('the same plans made while the tables are empty', () => {
  it('use the same indexes: they may be kept for long after that', async () => {
    const empty = await createTestDatabase()
    try {
      for (const [, filter] of filters) {
        const statement = findStatement(empty.sql, lane.installationId, filter, { size, after: null })
        const indexes = scans(await explain(statement, empty)).map((node) => node['Index Name'] ?? 'none')
        expect(
          indexes.filter(
            (name) => !/installation_id|reference|of_installation|hand_by_time|_pkey/.test(name),
          ),
        ).toEqual([])
        expect(indexes).not.toContain('hand_pkey')
      }
      const plan = await explain(readStatement(empty.sql, lane.projectId, [lane.installationId]), empty)
      expect(scans(plan).map((node) => node['Index Name'])).not.toContain(undefined)
      expect(scans(plan).filter((node) => !node['Index Name']!.endsWith('_pkey'))).toEqual([])
    } finally {
      await empty.drop()
    }
  })
})
