import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import { claimStatement } from '../../src/queue/claim-batch.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { addWrites, incoming, laneIdOf, laneKey } from '../support/queue-fixture.ts'

const WAITING = 300_000
const FINISHED = 100_000

let database: TestDatabase
let laneId: string

beforeAll(async () => {
  database = await createTestDatabase()
  const { sql } = database
  const lane = laneKey()
  const [first] = await addWrites(sql, [incoming(lane)])
  laneId = await laneIdOf(sql, lane)
  const copies = (count: number, state: string) => sql`
    insert into write (id, lane_id, installation_id, project_id, config_id, object_name, record, bytes, max_records,
                       available_at, due_at, deadline_at, accepted_at, updated_at, state, ended_at)
    select overlay(gen_random_uuid()::text placing left(uuid_at(now())::text, 13) from 1 for 13)::uuid, lane_id, installation_id, project_id, config_id, object_name, record, bytes, max_records,
           available_at, due_at, deadline_at, accepted_at, updated_at, ${state},
           case when ${state} = 'queued' then null else now() end
    from write, generate_series(1, ${count}::int) where id = ${first!}`
  await copies(FINISHED, 'succeeded')
  // in parts: one statement for all may take longer than a statement may
  for (let part = 0; part < 2; part += 1) await copies(WAITING / 2, 'queued')
  await sql`update lane set waiting = ${WAITING + 1}, due_at = now() where id = ${laneId}`
  await sql`analyze write`
}, 180_000)
afterAll(() => database.drop())

interface Plan {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  'Join Type'?: string
  Plans?: Plan[]
}

const walk = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(walk)]

/** Every place where the plan reads the writes. */
const scans = (plan: Plan): Plan[] =>
  walk(plan).filter(
    (node) => node['Relation Name']?.startsWith('write') && node['Node Type'].endsWith('Scan'),
  )

/** The plan of one claim, as it ran. */
async function explainClaim(sql = database.sql, lane = laneId): Promise<Plan> {
  const id = newId()
  const request = {
    laneId: lane,
    batchId: id,
    callId: id,
    worker: 'test',
    leaseSeconds: 60,
    maxBytes: 1_000_000,
    rides: false,
    synchronous: false,
    heldParents: [],
  }
  const [row] = await sql.begin(
    (tx) =>
      tx<
        { 'QUERY PLAN': { Plan: Plan }[] }[]
      >`explain (analyze, buffers, format json) ${claimStatement(tx, request)}`,
  )
  return row!['QUERY PLAN'][0]!.Plan
}

describe('the plan of a claim made while the table is empty', () => {
  it('uses the same indexes: it may be kept for long after that', async () => {
    const empty = await createTestDatabase()
    try {
      const nodes = scans(await explainClaim(empty.sql, newId()))
      expect(nodes.length).toBeGreaterThan(0)
      expect(nodes.filter((node) => node['Index Name'] === undefined)).toEqual([])
    } finally {
      await empty.drop()
    }
  })
})

describe(`the plan of a claim with ${WAITING} writes waiting`, () => {
  it('walks its index for two groups of rows, and reads no table', async () => {
    await explainClaim()
    const plan = await explainClaim()
    const nodes = scans(plan)
    expect(nodes.filter((node) => node['Index Name'] === undefined)).toEqual([])
    const waiting = nodes.filter((node) => node['Index Name']?.includes('lane_id_available_at_seq'))
    const read = waiting.map((node) => node['Actual Rows'] * node['Actual Loops'])
    expect(Math.max(...read)).toBe(201)
    expect(plan['Shared Hit Blocks'] + plan['Shared Read Blocks']).toBeLessThan(8_000)
  })

  it('tells what is left from what is taken in passing: as a join, it compares each with each', async () => {
    const joins = walk(await explainClaim()).filter((node) => node['Join Type'] === 'Anti')
    expect(joins).toEqual([])
  })

  it('costs no more than with a short lane', async () => {
    const short = laneKey()
    await addWrites(
      database.sql,
      Array.from({ length: 500 }, () => incoming(short)),
    )
    const blocks = (plan: Plan): number => plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
    const long = blocks(await explainClaim())
    expect(long).toBeLessThan(
      2 * blocks(await explainClaim(database.sql, await laneIdOf(database.sql, short))),
    )
  })
})
