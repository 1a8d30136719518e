import { PgBoss } from 'pg-boss'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { bossOnPool } from '../../src/wakeups/boss-db.ts'
import { startService, type Service } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

let service: Service

beforeEach(async () => {
  service = await startService({ retentionDays: 1, sweepMs: 100 })
})
afterEach(() => service.stop())

/** Makes an operation one of that many days ago. */
async function age(id: string, days: number): Promise<string> {
  const { sql } = service.database
  const [row] = await sql<[{ id: string; day: string }]>`
    select left(uuid_at(now() - make_interval(days => ${days}))::text, 14) || right(${id}, 22) as id,
      to_char((now() - make_interval(days => ${days})) at time zone 'UTC', 'YYYY-MM-DD') as day`
  await sql`select make_partitions(${row.day}::date, ${row.day}::date)`
  await sql`update write set id = ${row.id}, ended_at = now() - make_interval(days => ${days}) where id = ${id}`
  await sql`update attempt set write_id = ${row.id} where write_id = ${id}`
  return row.id
}

/** Has the house-keeping done now. */
async function keepHouse(): Promise<void> {
  const serial = connect({ url: service.database.url, max: 2 })
  const boss = new PgBoss({
    db: bossOnPool(serial, serial, () => undefined),
    supervise: false,
    schedule: false,
  })
  await boss.start()
  await boss.send('housekeeping')
  await boss.stop({ graceful: false, close: false })
  await serial.end()
}

it('an operation past the retention is not found any more, one within it is', async () => {
  const { tenant } = service
  const record = { LastName: 'Doe' }
  const made = await Promise.all([1, 2].map(() => tenant.write('Contact', { type: 'create', record })))
  for (const id of made) expect(await tenant.operation(id)).toMatchObject({ status: 'success' })
  const old = await age(made[0]!, 3)
  expect(await tenant.operation(old, 0)).toMatchObject({ status: 'success' })

  await keepHouse()

  const statusOf = async (id: string, path = '') =>
    (await tenant.call('GET', `/v1/projects/${tenant.projectId}/operations/${id}${path}`)).status
  await waitUntil(async () => (await statusOf(old)) === 404, {
    timeoutMs: 20_000,
    what: 'the operation to go',
  })
  expect(await statusOf(old, '/logs')).toBe(404)
  expect(await statusOf(made[1]!)).toBe(200)
})
