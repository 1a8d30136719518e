import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGroupCommit } from '../../src/ingest/group-commit.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import type { Wakeup } from '../../src/wakeups/wakeups.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { addWrites, expectLanesTrue, incoming, laneKey } from '../support/queue-fixture.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

/** Seconds until each write of an installation is due, rounded to minutes, in order; then its lanes'. */
async function dueMinutes(key: LaneKey): Promise<{ writes: (number | null)[]; lanes: (number | null)[] }> {
  const minutes = (rows: { minutes: number | null }[]) => rows.map((row) => row.minutes)
  const writes = await database.sql<{ minutes: number }[]>`
    select round(extract(epoch from due_at - now()) / 60)::int as minutes from write
    where installation_id = ${key.installationId} order by seq`
  const lanes = await database.sql<{ minutes: number | null }[]>`
    select round(extract(epoch from due_at - now()) / 60)::int as minutes from lane
    where installation_id = ${key.installationId} order by created_at`
  return { writes: minutes(writes), lanes: minutes(lanes) }
}

const merging = () => laneKey({ type: 'update', merge: true })
const hour = { delaySeconds: 3600 }
const minute = { delaySeconds: 60 }

describe('a write that will be sent as one with an earlier one', () => {
  it('hastens it and its lane, in the same commit or a later one', async () => {
    for (const together of [true, false]) {
      const key = merging()
      const recordKey = randomUUID()
      const writes = [
        incoming(key, { recordKey, ...hour }),
        incoming(key, { recordKey, ...minute }),
        incoming(key, { recordKey, ...hour }),
      ]
      if (together) await addWrites(database.sql, writes)
      else for (const write of writes) await addWrites(database.sql, [write])
      expect(await dueMinutes(key)).toEqual({ writes: [1, 1, 60], lanes: [1] })
      await expectLanesTrue(database.sql)
    }
  })

  it('sets the wake-up of the lane', async () => {
    const key = merging()
    const recordKey = randomUUID()
    const wakeups: Wakeup[] = []
    const commits = createGroupCommit({
      sql: database.sql,
      nudge: (_tx, set) => Promise.resolve(void wakeups.push(...set)),
    })
    await commits.add(incoming(key, { recordKey, ...hour }))
    await commits.add(incoming(key, { recordKey, ...minute }))
    await commits.add(incoming(key, { recordKey, ...minute }))
    expect(wakeups.map(({ at }) => Math.round((at.getTime() - Date.now()) / 60_000))).toEqual([60, 1])
  })

  it('never puts it off, and leaves other records alone', async () => {
    const key = merging()
    const [a, b] = [randomUUID(), randomUUID()]
    await addWrites(database.sql, [
      incoming(key, { recordKey: a, ...minute }),
      incoming(key, { recordKey: a, ...hour }),
      incoming(key, { recordKey: b, ...hour }),
    ])
    expect(await dueMinutes(key)).toEqual({ writes: [1, 60, 60], lanes: [1] })
  })

  it('is not there in a lane that does not merge, nor across lanes', async () => {
    const plain = laneKey({ type: 'update' })
    const recordKey = randomUUID()
    const writes = [incoming(plain, { recordKey, ...hour }), incoming(plain, { recordKey, ...minute })]
    await addWrites(database.sql, writes)
    expect(await dueMinutes(plain)).toEqual({ writes: [60, 1], lanes: [60] })
    const upserts: LaneKey = { ...plain, type: 'upsert', merge: true, externalIdField: 'K__c' }
    await addWrites(database.sql, [incoming(upserts, { recordKey, ...minute })])
    expect(await dueMinutes(plain)).toEqual({ writes: [60, 1, 1], lanes: [60, null] })
  })

  it('hastens one that itself waits for another lane, without waking its own', async () => {
    const updates = merging()
    const deletes: LaneKey = { ...updates, type: 'delete', merge: false }
    const recordKey = randomUUID()
    await addWrites(database.sql, [incoming(deletes, { recordKey, ...hour })])
    await addWrites(database.sql, [
      incoming(updates, { recordKey, ...hour }),
      incoming(updates, { recordKey, ...minute }),
    ])
    expect(await dueMinutes(updates)).toEqual({ writes: [60, 1, 1], lanes: [60, null] })
    await expectLanesTrue(database.sql)
  })
})
