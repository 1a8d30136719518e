import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGroupCommit } from '../../src/ingest/group-commit.ts'
import { newId } from '../../src/kernel/ids.ts'
import type { Submission } from '../../src/queue/insert-writes.ts'
import { countWaiting } from '../../src/queue/backlog.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { addWrites, expectLanesTrue, incoming, incomingBatch, laneKey } from '../support/queue-fixture.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

interface StoredWrite {
  id: string
  laneId: string
  operationId: string | null
  operationIndex: number | null
  ifEmpty: string[] | null
  parents: string[] | null
  blocked: boolean
}

const stored = (installationId: string) => database.sql<StoredWrite[]>`
  select id, lane_id as "laneId", operation_id as "operationId", operation_index as "operationIndex",
    if_empty as "ifEmpty", parents, blocked
  from write where installation_id = ${installationId} order by seq`

describe('caller-built batches on their way in', () => {
  it('get an operation, a lane of their own and their writes in order', async () => {
    const key = laneKey({ allOrNone: true, externalIdField: null, headers: [{ key: 'A', value: 'b"c' }] })
    const first = incomingBatch(key, [{}, {}, {}])
    const second = incomingBatch(key, [{}])
    const [single] = await addWrites(database.sql, [incoming(key), first, second])
    const rows = await stored(key.installationId)
    expect(rows.map(({ id, operationId, operationIndex }) => [id, operationId, operationIndex])).toEqual([
      [single, null, null],
      ...first.writes.map(({ id }, index) => [id, first.operation.id, index]),
      [second.writes[0]!.id, second.operation.id, 0],
    ])
    expect(new Set(rows.map((row) => row.laneId)).size).toBe(3)
    const lanes = await database.sql`
      select operation_id as "operationId", waiting, all_or_none as "allOrNone", headers, due_at <= now() as due from lane
      where installation_id = ${key.installationId} and operation_id is not null order by waiting desc`
    const headers = [{ key: 'A', value: 'b"c' }]
    expect([...lanes]).toEqual([
      { operationId: first.operation.id, waiting: 3, allOrNone: true, headers, due: true },
      { operationId: second.operation.id, waiting: 1, allOrNone: true, headers, due: true },
    ])
    const operations = await database.sql`
      select id, members, type, all_or_none as "allOrNone", object_name as "objectName" from operation
      where installation_id = ${key.installationId} order by id`
    expect([...operations]).toEqual(
      [first, second].map((batch) => ({
        id: batch.operation.id,
        members: batch.writes.map((write) => write.id),
        type: 'create',
        allOrNone: true,
        objectName: 'Contact',
      })),
    )
    await expectLanesTrue(database.sql)
  })

  it('come whole or not at all, and one that cannot be kept sinks no other', async () => {
    const key = laneKey()
    const broken = incomingBatch(key, [{}, { maxRecords: 0 }])
    const fine = incomingBatch(key, [{}, {}])
    const commits = createGroupCommit({ sql: database.sql, nudge: () => Promise.resolve() })
    const submissions: Submission[] = [incoming(key), broken, fine]
    const results = await Promise.allSettled(submissions.map((submission) => commits.add(submission)))
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    const rows = await stored(key.installationId)
    expect(rows.map((row) => row.operationId).filter((id) => id !== null)).toEqual([
      fine.operation.id,
      fine.operation.id,
    ])
    expect([...(await database.sql`select from operation where id = ${broken.operation.id}`)]).toEqual([])
    await expectLanesTrue(database.sql)
  })

  it('wait in order behind what is queued for a record', async () => {
    const key = laneKey({ type: 'update' })
    const recordKey = randomUUID()
    await addWrites(database.sql, [incoming(key, { recordKey })])
    await addWrites(database.sql, [incomingBatch(key, [{}, { recordKey }])])
    const rows = await stored(key.installationId)
    expect(rows.map((row) => row.blocked)).toEqual([false, false, true])
    await expectLanesTrue(database.sql)
  })

  it('keep what each record is to be treated with', async () => {
    const key = laneKey({ type: 'update' })
    const parents = [randomUUID(), randomUUID()]
    await addWrites(database.sql, [
      incoming(key),
      incomingBatch(key, [{ ifEmpty: ['A', 'we"ird, {name}\\'], parents }, { parents: [parents[0]!] }, {}]),
      incoming(key, { ifEmpty: ['B'] }),
    ])
    const rows = await stored(key.installationId)
    expect(rows.map(({ ifEmpty, parents: of }) => [ifEmpty, of])).toEqual([
      [null, null],
      [['A', 'we"ird, {name}\\'], parents],
      [null, [parents[0]]],
      [null, null],
      [['B'], null],
    ])
  })

  it('count as waiting by their records', async () => {
    const before = await countWaiting(database.sql)
    await addWrites(database.sql, [incomingBatch(laneKey(), [{}, {}, {}])])
    expect((await countWaiting(database.sql)) - before).toBe(3)
    await database.sql`insert into lane (id, project_id, integration_id, installation_id, object_name, type, key_hash, waiting)
      values (${newId()}, ${newId()}, ${newId()}, ${newId()}, 'A', 'create', 'x', 5)`
    expect((await countWaiting(database.sql)) - before).toBe(3)
    await database.sql`delete from lane where key_hash = 'x'`
  })

  it('fill commits by their records, not by their number', async () => {
    let transactions = 0
    const counting = new Proxy(database.sql, {
      get: (target, name): unknown => {
        if (name === 'begin') transactions += 1
        return Reflect.get(target, name)
      },
    })
    const commits = createGroupCommit({ sql: counting, nudge: () => Promise.resolve() })
    const key = laneKey()
    const parts = Array.from({ length: 100 }, () => ({}))
    await Promise.all(Array.from({ length: 21 }, () => commits.add(incomingBatch(key, parts))))
    // the first alone, as nothing else was there yet; then ten and ten
    expect(transactions).toBe(3)
  })
})
