import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadStatement, readHeldLanes, readLoads, readQuotas } from '../../src/queue/read-load.ts'
import { newId } from '../../src/kernel/ids.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { addWrites, claim, incoming, laneIdOf, laneKey } from '../support/queue-fixture.ts'
import { oneStory } from '../support/one-story.ts'

let database: TestDatabase
const sql = () => database.sql
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

/** A lane in which this many writes wait, the first since so many seconds. */
async function lane(count: number, seconds: number) {
  const key = laneKey()
  const ids = await addWrites(
    sql(),
    Array.from({ length: count }, () => incoming(key)),
  )
  await sql()`
    update write set accepted_at = accepted_at - make_interval(secs => ${seconds}), available_at = available_at - make_interval(secs => ${seconds})
    where id = ${ids[0]!}`
  return key
}

const rounded = async (installations: number) =>
  (await readLoads(sql(), installations)).map(({ installationId, waiting, oldestSeconds }) => [
    installationId,
    waiting,
    oldestSeconds === null ? null : Math.round(oldestSeconds / 100),
  ])

describe('the queue', oneStory, () => {
  describe('the load of the queue', () => {
    it('names the installations with the most waiting and sums the others', async () => {
      expect(await readLoads(sql(), 5)).toEqual([])
      const three = await lane(3, 100)
      const two = await lane(2, 200)
      const one = await lane(1, 300)
      const another = await lane(1, 400)
      expect(new Map((await rounded(2)).map(([id, ...rest]) => [id, rest]))).toEqual(
        new Map<unknown, unknown>([
          [three.installationId, [3, 1]],
          [two.installationId, [2, 2]],
          [null, [2, 4]],
        ]),
      )
      expect((await rounded(4)).map(([id]) => id).sort()).toEqual(
        [three, two, one, another].map((key) => key.installationId).sort(),
      )
      await sql()`delete from write`
      await sql()`delete from lane`
    })

    it('counts what was never sent, and forgets what has left', async () => {
      const key = await lane(2, 1_000)
      const id = await laneIdOf(sql(), key)
      await sql()`update lane set due_at = now()`
      await claim(sql(), id, 1_000_000, { rides: true })
      expect(await readLoads(sql(), 5)).toEqual([])
      await sql()`delete from batch`
      await sql()`delete from write`
      await sql()`delete from lane`
    })

    it('reads one write for each lane, however many wait', async () => {
      const key = await lane(1, 0)
      const [first] = await sql()<{ id: string }[]>`select id from write`
      await sql()`
      insert into write (id, lane_id, installation_id, project_id, config_id, object_name, record, bytes, max_records,
                         available_at, due_at, deadline_at, accepted_at, updated_at)
      select overlay(gen_random_uuid()::text placing left(uuid_at(now() + make_interval(secs => n / 1000.0))::text, 13) from 1 for 13)::uuid,
        lane_id, installation_id, project_id, config_id, object_name, record, bytes, max_records,
        available_at, due_at, deadline_at, accepted_at, updated_at
      from write, generate_series(1, 20000) as n where id = ${first!.id}`
      await sql()`update lane set waiting = 20001`
      await sql()`analyze write`
      const [row] = await sql()<{ 'QUERY PLAN': { Plan: Plan }[] }[]>`
      explain (analyze, buffers, format json) ${loadStatement(sql(), 5)}`
      const read = walk(row!['QUERY PLAN'][0]!.Plan)
        .filter((node) => (node['Relation Name'] ?? '').startsWith('write'))
        .reduce((sum, node) => sum + node['Actual Rows'] * node['Actual Loops'], 0)
      expect(read).toBeGreaterThan(0)
      expect(read).toBeLessThan(10)
      expect(await rounded(5)).toEqual([[key.installationId, 20_001, 0]])
    })
  })

  interface Plan {
    'Relation Name'?: string
    'Actual Rows': number
    'Actual Loops': number
    Plans?: Plan[]
  }
  const walk = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(walk)]

  describe('quotas and lanes that are put off', () => {
    it('name the installations with the smallest part left, of answers of the last day', async () => {
      const [full, half, old] = [newId(), newId(), newId()]
      const org = async (name: string, used: number, limit: number, hours: number, installation: string) => {
        await sql()`
        insert into org_usage (org, api_used, api_limit, read_at)
        values (${name}, ${used}, ${limit}, now() - make_interval(hours => ${hours}))`
        await sql()`insert into pacing (installation_id, org) values (${installation}, ${name})`
      }
      await org('full', 1, 100, 0, full)
      await org('half', 50, 100, 1, half)
      await org('old', 99, 100, 25, old)
      expect(await readQuotas(sql(), 5)).toEqual([
        { installationId: half, left: 50, limit: 100 },
        { installationId: full, left: 99, limit: 100 },
      ])
      expect(await readQuotas(sql(), 1)).toHaveLength(1)
    })

    it('are counted by what holds them', async () => {
      await lane(1, 0)
      await sql()`update lane set held_by = 'connection' where due_at is not null`
      const [held, ...rest] = await readHeldLanes(sql())
      expect(rest).toEqual([])
      expect(held?.reason).toBe('connection')
      expect(held?.lanes).toBeGreaterThan(0)
    })
  })
})
