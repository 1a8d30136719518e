import type { PendingQuery, Row } from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { objectNames } from '../../bench/peers/records.ts'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { addWrites, incoming, laneKey } from '../support/queue-fixture.ts'
import { runProgram } from './peer-process.ts'

let database: TestDatabase
let simulator: Simulator

beforeAll(async () => {
  database = await createTestDatabase()
  simulator = await startSimulator()
})
afterAll(async () => {
  await simulator.close()
  await database.drop()
})

describe('insert-rows', () => {
  it('inserts as many rows as it is told, with values in the same columns as the service', async () => {
    const { sql } = database
    const filledColumns = async (condition: PendingQuery<Row[]>): Promise<string[]> => {
      const [row] = await sql<{ columns: string[] }[]>`
        select array_agg(key order by key) as columns
        from (select * from write where ${condition} limit 1) as one, jsonb_each_text(to_jsonb(one))
        where value is not null`
      return row!.columns
    }
    const lane = laneKey()
    await addWrites(sql, [incoming(lane)])

    const args = ['--rows', '2500', '--per-transaction', '1000', '--connections', '2']
    const result = await runProgram('insert-rows', args, { DATABASE_URL: database.url })
    expect(result).toEqual({ rows: 2_500, seconds: expect.any(Number) as number })
    const theirs = sql`installation_id <> ${lane.installationId}`
    const [counts] = await sql`
      select count(*) as rows, count(distinct lane_id) as lanes, count(distinct accepted_at) as commits
      from write where ${theirs} and state = 'queued' and octet_length(record) = bytes`
    expect(counts).toEqual({ rows: 2_500, lanes: objectNames.length, commits: 3 })
    expect(await filledColumns(theirs)).toEqual(
      await filledColumns(sql`installation_id = ${lane.installationId}`),
    )
  })
})

describe('jsforce-alone', () => {
  it.each([
    { shape: 'composite', calls: 3 },
    { shape: 'collections', calls: 11 },
  ])('sends groups of a hundred as $shape', async ({ shape, calls }) => {
    simulator.org.reset()
    const args = ['--records', '1050', '--concurrency', '2', '--shape', shape]
    const result = await runProgram('jsforce-alone', args, { LOGIN_URL: simulator.url })
    expect(result).toEqual({ records: 1_050, calls, seconds: expect.any(Number) as number })
    expect(simulator.org.requests.totals.apiCalls).toBe(calls)
    expect(Object.values(simulator.org.requests.totals.bySize)).toEqual([{ 50: 1, 100: 10 }])
    expect(simulator.org.counts()).toMatchObject({
      Contact: 250,
      Account: 200,
      Lead: 200,
      Opportunity: 200,
      Case: 200,
    })
  })
})
