import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Sql } from '../../src/db/connect.ts'
import { createGroupCommit } from '../../src/ingest/group-commit.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { waitUntil } from '../support/wait-until.ts'
import { expectLanesTrue, incoming, laneKey } from '../support/queue-fixture.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

/** The pool, counting the transactions that are begun on it. */
function counted(sql: Sql): { sql: Sql; transactions: () => number } {
  let begun = 0
  const counting = new Proxy(sql, {
    get: (target, name): unknown => {
      if (name === 'begin') begun += 1
      return Reflect.get(target, name)
    },
  })
  return { sql: counting, transactions: () => begun }
}

const stateOf = async (id: string): Promise<string | undefined> =>
  (await database.sql<{ state: string }[]>`select state from write where id = ${id}`)[0]?.state

const lockWaits = async (): Promise<number> => {
  const [row] = await database.sql<{ count: number }[]>`
    select count(*)::int as count from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`
  return row!.count
}

describe('group commit', () => {
  it('costs one transaction for all who came while the last one ran, not one for each write', async () => {
    const { sql, transactions } = counted(database.sql)
    const commits = createGroupCommit({ sql, nudge: () => Promise.resolve() })
    const lane = laneKey()
    await commits.add(incoming(lane))
    expect(transactions()).toBe(1)
    await Promise.all(Array.from({ length: 2_000 }, () => commits.add(incoming(lane))))
    expect(transactions()).toBeLessThanOrEqual(4)
    const [row] = await database.sql<
      { count: number }[]
    >`select count(*)::int as count from write where installation_id = ${lane.installationId}`
    expect(row!.count).toBe(2_001)
    await expectLanesTrue(database.sql)
  })

  it('keeps the order of arrival', async () => {
    const commits = createGroupCommit({ sql: database.sql, nudge: () => Promise.resolve() })
    const lane = laneKey()
    const writes = Array.from({ length: 300 }, () => incoming(lane))
    await Promise.all(writes.map((write) => commits.add(write)))
    const rows = await database.sql<
      { id: string }[]
    >`select id from write where installation_id = ${lane.installationId} order by seq`
    expect(rows.map((row) => row.id)).toEqual(writes.map((write) => write.writes[0].id))
  })

  it('answers only after the commit', async () => {
    const commits = createGroupCommit({ sql: database.sql, nudge: () => Promise.resolve() })
    const lane = laneKey()
    await commits.add(incoming(lane))
    const write = incoming(lane)
    let answered = false
    // the commit has to wait for the lane's row
    const locked = Promise.withResolvers<undefined>()
    const release = Promise.withResolvers<undefined>()
    const holding = database.sql.begin(async (tx) => {
      await tx`select from lane where installation_id = ${lane.installationId} for update`
      locked.resolve(undefined)
      await release.promise
    })
    await locked.promise
    const adding = commits.add(write).then(() => (answered = true))
    await waitUntil(async () => (await lockWaits()) > 0, {
      timeoutMs: 10_000,
      what: 'the commit waits for the lane',
    })
    expect(answered).toBe(false)
    expect(await stateOf(write.writes[0].id)).toBeUndefined()
    release.resolve(undefined)
    await Promise.all([holding, adding])
    expect(await stateOf(write.writes[0].id)).toBe('queued')
  })

  it('acknowledges nothing when the wake-up cannot be set: rows and wake-up stand or fall together', async () => {
    const commits = createGroupCommit({
      sql: database.sql,
      nudge: () => Promise.reject(new Error('no wake-up')),
    })
    const write = incoming(laneKey())
    await expect(commits.add(write)).rejects.toThrow('no wake-up')
    expect(await stateOf(write.writes[0].id)).toBeUndefined()
  })

  it('does not let one impossible write sink the others of its commit', async () => {
    const commits = createGroupCommit({ sql: database.sql, nudge: () => Promise.resolve() })
    const lane = laneKey()
    const writes = Array.from({ length: 9 }, (_, index) =>
      incoming(lane, index === 4 ? { maxRecords: 0 } : {}),
    )
    const results = await Promise.allSettled(writes.map((write) => commits.add(write)))
    expect(results.map((result) => result.status)).toEqual(
      writes.map((_, index) => (index === 4 ? 'rejected' : 'fulfilled')),
    )
    await expectLanesTrue(database.sql)
  })

  it('finds its lane again when somebody removed it', async () => {
    const commits = createGroupCommit({ sql: database.sql, nudge: () => Promise.resolve() })
    const lane = laneKey()
    await commits.add(incoming(lane))
    await database.sql`delete from write where installation_id = ${lane.installationId}`
    await database.sql`delete from lane where installation_id = ${lane.installationId}`
    const write = incoming(lane)
    await commits.add(write)
    expect(await stateOf(write.writes[0].id)).toBe('queued')
    await expectLanesTrue(database.sql)
  })

  it('does not deadlock when several processes commit to the same lanes', async () => {
    const lanes = Array.from({ length: 12 }, () => laneKey())
    const processes = Array.from({ length: 4 }, () =>
      createGroupCommit({ sql: database.sql, nudge: () => Promise.resolve() }),
    )
    await Promise.all(
      processes.flatMap((commits, process) =>
        Array.from({ length: 240 }, (_, index) =>
          commits.add(incoming(lanes[(index * (process + 5)) % lanes.length]!)),
        ),
      ),
    )
    const rows = await database.sql<{ waiting: number }[]>`
      select waiting from lane where installation_id = any (${lanes.map((lane) => lane.installationId)}::uuid[])`
    expect(rows.reduce((sum, row) => sum + row.waiting, 0)).toBe(4 * 240)
    await expectLanesTrue(database.sql)
  })
})
