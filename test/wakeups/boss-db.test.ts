import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect, type Database } from '../../src/db/connect.ts'
import { bossOnPool } from '../../src/wakeups/boss-db.ts'
import { migrateWakeups } from '../../src/wakeups/wakeups.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let pools: Database[]

beforeEach(async () => {
  database = await createTestDatabase()
  pools = []
})
afterEach(async () => {
  await Promise.all(pools.map((pool) => pool.end({ timeout: 5 })))
  await database.drop()
})

/** A pool of the kind that pg-boss's own transactions run on. */
function serialPool(): Database {
  const pool = connect({ url: database.url, max: 2 })
  pools.push(pool)
  return pool
}

describe('pg-boss on our driver', () => {
  it('goes on after one of its transactions has failed, with nothing of that one left', async () => {
    const serial = serialPool()
    const db = bossOnPool(database.sql, serial, () => undefined)
    const failing = 'begin; create table half_done (id int); select 1 / 0; commit'
    await expect(db.executeSql(failing)).rejects.toThrow('division by zero')
    await expect(db.executeSql('begin; create table whole (id int); commit')).resolves.toBeDefined()
    expect([
      ...(await database.sql`select to_regclass('half_done') as half, to_regclass('whole') as whole`),
    ]).toEqual([{ half: null, whole: 'whole' }])
  })

  it('passes on JSON as pg-boss has encoded it', async () => {
    const db = bossOnPool(database.sql, serialPool(), () => undefined)
    const text = 'select name from json_to_recordset($2::json) as x (name text) where name <> $1'
    await expect(db.executeSql(text, ['b', JSON.stringify([{ name: 'a' }, { name: 'b' }])])).resolves.toEqual(
      { rows: [{ name: 'a' }] },
    )
  })

  it('makes its schema once, however many processes start on an empty database', async () => {
    await database.sql`drop schema if exists pgboss cascade`
    await Promise.all(Array.from({ length: 5 }, () => migrateWakeups(serialPool())))
    expect([...(await database.sql`select name from pgboss.queue where name = 'lane-wakeup'`)]).toHaveLength(
      1,
    )
  })
})
