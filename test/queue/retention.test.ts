import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/kernel/log.ts'
import { newId } from '../../src/kernel/ids.ts'
import type { Submission } from '../../src/queue/insert-writes.ts'
import { readAttempts, readOperation } from '../../src/queue/read.ts'
import { keepRetention, type RetentionOptions } from '../../src/queue/retention.ts'
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
import { waitUntil } from '../support/wait-until.ts'

const DAY_MS = 86_400_000
const RETENTION = 30

let database: TestDatabase
const sql = () => database.sql

beforeEach(async () => {
  database = await createTestDatabase()
})
afterEach(() => database.drop())

const never = new AbortController().signal
const keep = (part: Partial<RetentionOptions> = {}) =>
  keepRetention({ sql: sql(), logger: silentLogger, days: RETENTION, ...part }, never)

/** Midday, that many days ago. */
const daysAgo = (days: number): Date =>
  new Date(Math.floor(Date.now() / DAY_MS) * DAY_MS - days * DAY_MS + DAY_MS / 2)

const dayOf = (at: Date): string => at.toISOString().slice(0, 10)

/** An id as it was made then. */
function idAt(at: Date): string {
  const hex = at.getTime().toString(16).padStart(12, '0') + '7' + randomBytes(10).toString('hex').slice(1)
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5')
}

const makeDay = (at: Date) => sql()`select make_partitions(${dayOf(at)}::date, ${dayOf(at)}::date)`

/** Whatever of these has ended did so then. */
const ended = (ids: string[], at: Date) =>
  sql()`update write set ended_at = ${at} where id = any (${ids}::uuid[]) and ended_at is not null`

/** A batch's own ids as they were made then. */
async function asOf<T extends { batchId: string }>(batch: T, at: Date): Promise<T> {
  const id = idAt(at)
  await sql()`update batch set id = ${id} where id = ${batch.batchId}`
  await sql()`update write set batch_id = ${id} where batch_id = ${batch.batchId}`
  return { ...batch, batchId: id }
}

/** Writes that were accepted then and have ended then. */
async function finishedWrites(at: Date, count = 1) {
  const lane = laneKey()
  const ids = await addWrites(
    sql(),
    Array.from({ length: count }, () => incoming(lane, { id: idAt(at), delaySeconds: 0 })),
  )
  const laneId = await laneIdOf(sql(), lane)
  const batch = await asOf((await claim(sql(), laneId)).batch!, at)
  await settle(sql(), batch, () => ({}))
  await ended(ids, at)
  return { lane, laneId, ids, batchId: batch.batchId }
}

/** A caller-built batch that was accepted then; `times` are those of its members. */
function batchAt(times: Date[]): Submission {
  const submission = incomingBatch(
    laneKey(),
    times.map((at) => ({ id: idAt(at) })),
  )
  const id = idAt(times[0]!)
  return {
    lane: { ...submission.lane, operationId: id },
    operation: { ...submission.operation, id },
    writes: submission.writes.map((write) => ({ ...write, operationId: id })),
  }
}

const tablesOf = async (at: Date): Promise<string[]> => {
  const suffix = dayOf(at).replaceAll('-', '')
  const rows = await sql()<{ name: string }[]>`
    select relname as name from pg_class where relkind = 'r' and relname like ${`%$_${suffix}`} escape '$' order by relname`
  return rows.map((row) => row.name)
}

const countOf = async (table: string, column: string, ids: string[]): Promise<number> => {
  const [row] = await sql()<[{ count: number }]>`
    select count(*) from ${sql()(table)} where ${sql()(column)} = any (${ids}::uuid[])`
  return row.count
}

describe('finished writes', () => {
  it('go with their day once all of it is older than the retention, and leave nothing behind', async () => {
    const old = daysAgo(RETENTION + 2)
    await makeDay(old)
    const { lane, ids, batchId } = await finishedWrites(old, 3)
    expect(await readOperation(sql(), lane.projectId, ids[0]!)).not.toBeNull()

    const report = await keep()

    expect(report).toMatchObject({ daysDropped: [dayOf(old)], writesMoved: 0, batchesRemoved: 1 })
    expect(await tablesOf(old)).toEqual([])
    expect(await readOperation(sql(), lane.projectId, ids[0]!)).toBeNull()
    expect(await readAttempts(sql(), ids)).toEqual([])
    expect(await countOf('batch', 'id', [batchId])).toBe(0)
    expect(await keep()).toMatchObject({ daysDropped: [], writesRemoved: 0, batchesRemoved: 0 })
  })

  it('stay while any of their day is within the retention', async () => {
    const at = daysAgo(RETENTION)
    await makeDay(at)
    const { lane, ids, batchId } = await finishedWrites(at)

    expect(await keep()).toMatchObject({ daysDropped: [], writesRemoved: 0, batchesRemoved: 0 })

    expect(await tablesOf(at)).toHaveLength(3)
    expect(await readOperation(sql(), lane.projectId, ids[0]!)).not.toBeNull()
    expect(await countOf('batch', 'id', [batchId])).toBe(1)
  })

  it('outlive their day where they ended within the retention, then go', async () => {
    const old = daysAgo(RETENTION + 2)
    await makeDay(old)
    const { lane, ids, batchId } = await finishedWrites(old, 2)
    await ended([ids[0]!], daysAgo(1))

    expect(await keep()).toMatchObject({ daysDropped: [dayOf(old)], writesMoved: 1, batchesRemoved: 0 })
    expect(await readOperation(sql(), lane.projectId, ids[0]!)).toMatchObject({ id: ids[0] })
    expect(await readAttempts(sql(), ids)).toMatchObject([{ writeId: ids[0], batchId }])
    expect(await readOperation(sql(), lane.projectId, ids[1]!)).toBeNull()

    await ended([ids[0]!], daysAgo(RETENTION + 1))
    expect(await keep()).toMatchObject({ writesRemoved: 1, batchesRemoved: 1 })
    expect(await readOperation(sql(), lane.projectId, ids[0]!)).toBeNull()
    expect(await countOf('attempt_default', 'write_id', ids)).toBe(0)
  })
})

describe('unfinished writes', () => {
  it('are moved along with what was tried, and go on from there', async () => {
    const old = daysAgo(RETENTION + 5)
    await makeDay(old)
    const lane = laneKey({ type: 'update' })
    const [first, second] = [idAt(old), idAt(old)].sort() as [string, string]
    const recordKey = newId()
    await addWrites(sql(), [
      incoming(lane, { id: first, delaySeconds: 0, recordKey }),
      incoming(lane, { id: second, delaySeconds: 0, recordKey }),
    ])
    const laneId = await laneIdOf(sql(), lane)
    const { batch } = await claim(sql(), laneId)
    await settle(sql(), batch!, () => ({ state: 'queued', delaySeconds: 0 }))

    expect(await keep()).toMatchObject({ daysDropped: [dayOf(old)], writesMoved: 2, writesRemoved: 0 })

    expect(await readAttempts(sql(), [first])).toMatchObject([{ decision: 'retry' }])
    await expectLanesTrue(sql())
    const again = (await claim(sql(), laneId)).batch!
    expect(again.members).toMatchObject([{ id: first, attempts: 1 }])
    await settle(sql(), again, () => ({}))
    await expectLanesTrue(sql())
    const next = (await claim(sql(), laneId)).batch!
    expect(next.members).toMatchObject([{ id: second }])
    expect(await keep()).toMatchObject({ writesRemoved: 0 })
  })

  it('are moved while they are being sent, and settled afterwards', async () => {
    const old = daysAgo(RETENTION + 5)
    await makeDay(old)
    const lane = laneKey()
    const [id] = await addWrites(sql(), [incoming(lane, { id: idAt(old), delaySeconds: 0 })])
    const { batch } = await claim(sql(), await laneIdOf(sql(), lane))

    expect(await keep()).toMatchObject({ writesMoved: 1 })

    expect(await settle(sql(), batch!, () => ({}))).toMatchObject({ applied: true, ended: [id] })
    expect(await readOperation(sql(), lane.projectId, id!)).toMatchObject({
      records: [{ state: 'succeeded' }],
    })
  })

  it('that were begun again by hand after the look are moved too', async () => {
    const old = daysAgo(RETENTION + 5)
    await makeDay(old)
    const { ids, lane } = await finishedWrites(old, 2)
    // between the look and the drop
    const watched = new Proxy(sql(), {
      get: (target, name): unknown => {
        if (name !== 'begin') return Reflect.get(target, name)
        return async (run: never) => {
          await target`update write set state = 'queued', ended_at = null where id = ${ids[0]!}`
          return target.begin(run)
        }
      },
    })

    expect(await keep({ sql: watched })).toMatchObject({ daysDropped: [dayOf(old)], writesMoved: 1 })

    expect(await readOperation(sql(), lane.projectId, ids[0]!)).toMatchObject({
      records: [{ state: 'queued' }],
    })
  })

  it('keep their day where they are too many to be moved', async () => {
    const older = daysAgo(RETENTION + 6)
    const old = daysAgo(RETENTION + 5)
    await makeDay(older)
    await makeDay(old)
    const lane = laneKey()
    const ids = await addWrites(
      sql(),
      Array.from({ length: 4 }, () => incoming(lane, { id: idAt(older) })),
    )

    expect(await keep({ maxMoved: 3 })).toMatchObject({ daysDropped: [], writesMoved: 0 })
    expect(await countOf('write', 'id', ids)).toBe(4)
    expect(await keep({ maxMoved: 4 })).toMatchObject({
      daysDropped: [dayOf(older), dayOf(old)],
      writesMoved: 4,
    })
    expect(await countOf('write_default', 'id', ids)).toBe(4)
  })
})

describe('a caller-built batch', () => {
  it('stays whole for as long as any of its records is needed, over midnight too', async () => {
    const midnight = new Date(Math.floor(daysAgo(RETENTION + 5).getTime() / DAY_MS) * DAY_MS)
    const before = new Date(midnight.getTime() - 5)
    const after = new Date(midnight.getTime() + 5)
    await makeDay(before)
    await makeDay(after)
    const submission = batchAt([before, before, after])
    const ids = await addWrites(sql(), [submission])
    const operationId = submission.operation!.id
    await sql()`update write set state = 'succeeded', ended_at = ${after} where id = any (${ids.slice(0, 2)}::uuid[])`
    const gone = batchAt([before, after])
    const goneIds = await addWrites(sql(), [gone])
    await sql()`update write set state = 'succeeded', ended_at = ${after} where id = any (${goneIds}::uuid[])`
    await sql()`update lane set due_at = null where operation_id = ${gone.operation!.id}`
    for (const { operation } of [submission, gone])
      await sql()`update lane set id = ${idAt(before)} where operation_id = ${operation!.id}`

    expect(await keep()).toMatchObject({ daysDropped: [dayOf(before), dayOf(after)], lanesRemoved: 1 })

    const { projectId } = submission.lane
    const operation = await readOperation(sql(), projectId, operationId)
    expect(operation?.records.map(({ id, state }) => ({ id, state }))).toEqual([
      { id: ids[0], state: 'succeeded' },
      { id: ids[1], state: 'succeeded' },
      { id: ids[2], state: 'queued' },
    ])
    expect(await readOperation(sql(), gone.lane.projectId, gone.operation!.id)).toBeNull()
    expect(await countOf('write', 'id', goneIds)).toBe(0)
    expect(await countOf('lane', 'operation_id', [operationId])).toBe(1)

    await sql()`update write set state = 'succeeded', ended_at = ${after} where id = ${ids[2]!}`
    await sql()`update lane set due_at = null`
    expect(await keep()).toMatchObject({ writesRemoved: 3, lanesRemoved: 1 })
    expect(await readOperation(sql(), projectId, operationId)).toBeNull()
    expect(await countOf('operation', 'id', [operationId])).toBe(0)
    expect(await countOf('lane', 'operation_id', [operationId])).toBe(0)
  })
})

describe('dropping a day', () => {
  it('waits for the end of a batch that is too large to be moved', async () => {
    const old = daysAgo(RETENTION + 5)
    await makeDay(old)
    const submission = batchAt([old, old, old])
    const ids = await addWrites(sql(), [submission])
    await sql()`update write set state = 'succeeded', ended_at = ${old} where id = any (${ids.slice(1)}::uuid[])`

    expect(await keep({ maxMoved: 2 })).toMatchObject({ daysDropped: [], writesMoved: 0 })
    expect(await keep({ maxMoved: 3 })).toMatchObject({ daysDropped: [dayOf(old)], writesMoved: 3 })
  })

  it('gives up for now while somebody holds its tables, and keeps others waiting only shortly', async () => {
    const old = daysAgo(RETENTION + 2)
    await makeDay(old)
    await finishedWrites(old)
    const release = Promise.withResolvers<null>()
    const held = Promise.withResolvers<null>()
    const holder = sql().begin(async (tx) => {
      await tx`select from write limit 1`
      held.resolve(null)
      await release.promise
    })
    await held.promise
    const kept = keep()
    await waitUntil(
      async () => {
        const [row] = await sql()<
          [{ waiting: number }]
        >`select count(*) as waiting from pg_locks where not granted`
        return row.waiting > 0
      },
      { timeoutMs: 5_000, what: 'the drop to wait' },
    )
    const since = performance.now()
    const lane = laneKey()
    const [id] = await addWrites(sql(), [incoming(lane, { delaySeconds: 0 })])
    const { batch } = await claim(sql(), await laneIdOf(sql(), lane))
    expect(performance.now() - since).toBeLessThan(1_000)
    expect(batch?.members).toMatchObject([{ id }])
    // and the drop goes through once they let go
    release.resolve(null)
    await holder
    expect(await kept).toMatchObject({ daysDropped: [dayOf(old)] })
  })

  it('loses nothing of what is inserted, claimed and settled meanwhile', async () => {
    const days = [7, 6, 5, 4, 3].map((back) => daysAgo(RETENTION + back))
    const living: string[] = []
    const lane = laneKey()
    for (const day of days) {
      await makeDay(day)
      await finishedWrites(day, 20)
      living.push(...(await addWrites(sql(), [incoming(lane, { id: idAt(day) })])))
    }
    const busy = { done: false, writes: [] as string[], settled: 0 }
    const hot = laneKey()
    const work = (async () => {
      while (!busy.done || busy.settled === 0) {
        const ids = await addWrites(sql(), [
          incoming(hot, { delaySeconds: 0 }),
          incoming(hot, { delaySeconds: 0 }),
        ])
        busy.writes.push(...ids)
        const { batch } = await claim(sql(), await laneIdOf(sql(), hot))
        const settled = await settle(sql(), batch!, () => ({}))
        expect(settled.ended.toSorted()).toEqual(ids.toSorted())
        busy.settled += 1
      }
    })()
    const report = await keep().finally(() => (busy.done = true))
    await work

    expect(report.daysDropped).toEqual(days.map(dayOf))
    expect(await countOf('write_default', 'id', living)).toBe(days.length)
    expect(await countOf('write', 'id', busy.writes)).toBe(busy.writes.length)
    await expectLanesTrue(sql())
  })
})

describe('partitions', () => {
  it('are made a week ahead, and a day that cannot have one keeps no other from it', async () => {
    const ahead = (days: number) => new Date(Date.now() + days * DAY_MS)
    for (let days = 0; days <= 9; days++)
      for (const name of await tablesOf(ahead(days))) await sql()`drop table ${sql()(name)}`
    // a host whose clock was ahead
    await addWrites(sql(), [incoming(laneKey(), { id: idAt(ahead(3)) })])
    const [past] = await Promise.all([tablesOf(ahead(3))])
    expect(past).toEqual([])

    expect(await keep()).toMatchObject({ partitionsMade: 7 * 3 })

    expect(await tablesOf(ahead(3))).toEqual([])
    for (const days of [0, 1, 2, 4, 5, 6, 7]) expect(await tablesOf(ahead(days))).toHaveLength(3)
    expect(await tablesOf(ahead(8))).toEqual([])
    expect(await keep()).toMatchObject({ partitionsMade: 0 })
  })
})

describe('the pace of installations that are gone', () => {
  it('goes, and the usage of orgs that nobody writes to', async () => {
    await sql()`insert into pacing (installation_id, org) values (${newId()}, 'org-of-nobody')`
    await sql()`
      insert into org_usage (org, read_at) values ('org-of-nobody', now() - interval '31 days'), ('org-read-lately', now())`

    await keep()

    expect([...(await sql()`select from pacing`)]).toEqual([])
    expect([...(await sql()`select org from org_usage`)]).toEqual([{ org: 'org-read-lately' }])
  })
})
