import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import type { OperationFilter, OperationStatus } from '../../src/model/following.ts'
import { operationStateOf } from '../../src/model/operation.ts'
import { findOperations } from '../../src/queue/list-operations.ts'
import { readOperations } from '../../src/queue/read.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { addWrites, incoming, incomingBatch, laneKey } from '../support/queue-fixture.ts'

let database: TestDatabase
const lane = laneKey()
const { installationId, projectId } = lane
const states = ['queued', 'sending', 'succeeded', 'failed', 'in_doubt', 'cancelled'] as const

beforeAll(async () => {
  database = await createTestDatabase()
  const { sql } = database
  const leads = laneKey({ ...lane, objectName: 'Lead' })
  const elsewhere = laneKey({ projectId: lane.projectId })
  for (let turn = 0; turn < 60; turn += 1) {
    const reference = turn % 3 === 0 ? null : `row-${turn % 5}`
    const batch = incomingBatch(turn % 2 === 0 ? lane : leads, [{}, {}, {}])
    await addWrites(sql, [
      incoming(turn % 4 === 0 ? leads : lane, { reference }),
      incoming(elsewhere, { reference }),
      ...(turn % 3 === 1 ? [{ ...batch, operation: { ...batch.operation, reference } }] : []),
    ])
  }
  const writes = await sql<{ id: string }[]>`select id from write order by id`
  // every state, and every mixture of some in the batches
  for (const [index, { id }] of writes.entries()) {
    const state = states[(index * 7 + (index >> 3)) % states.length]!
    await sql`update write set state = ${state}, batch_id = ${newId()},
      ended_at = case when ${state} in ('queued', 'sending') then null else now() end where id = ${id}`
  }
})
afterAll(() => database.drop())

/** What there is, read another way. */
async function allOf(): Promise<
  { id: string; status: OperationStatus; object: string; reference: string | null }[]
> {
  const { sql } = database
  const ids = await sql<{ id: string }[]>`
    select id from write where installation_id = ${installationId} and operation_id is null
    union all select id from operation where installation_id = ${installationId}`
  const views = await readOperations(
    sql,
    projectId,
    ids.map(({ id }) => id),
  )
  expect(views).toHaveLength(ids.length)
  const statusOf = (state: string): OperationStatus => {
    if (state === 'queued' || state === 'sending') return 'in_progress'
    return state === 'succeeded' || state === 'partial' ? 'success' : 'failure'
  }
  return views
    .map((view) => ({
      id: view.id,
      status: statusOf(operationStateOf(view.records.map((record) => record.state))),
      object: view.objectName,
      reference: view.reference,
    }))
    .sort((a, b) => (a.id < b.id ? 1 : -1))
}

async function pagesOf(
  filter: OperationFilter,
  size: number,
  lookedAt?: { writes: number; batches: number },
): Promise<string[][]> {
  const pages: string[][] = []
  for (let after: string | null = null; ;) {
    const { ids, next }: { ids: string[]; next: string | null } = await findOperations(
      database.sql,
      installationId,
      filter,
      { size, after },
      lookedAt,
    )
    pages.push(ids)
    if (next === null) return pages
    if (after !== null) expect(next < after).toBe(true)
    after = next
  }
}

const filters = ([null, 'in_progress', 'success', 'failure'] as const).flatMap((status) =>
  [null, 'Contact', 'Lead', 'Nope'].flatMap((objectName) =>
    [null, 'row-1', 'row-2', 'nobody'].map((reference): OperationFilter => ({
      status,
      objectName,
      reference,
      movedAfter: null,
    })),
  ),
)

describe('pages of an installation’s operations', () => {
  it.each(filters)('hold all that fits %o, newest first, each once', async (filter) => {
    const all = await allOf()
    expect(new Set(all.map(({ status }) => status)).size).toBe(3)
    const wanted = all
      .filter(({ status }) => filter.status === null || status === filter.status)
      .filter(({ object }) => filter.objectName === null || object === filter.objectName)
      .filter(({ reference }) => filter.reference === null || reference === filter.reference)
      .map(({ id }) => id)
    for (const size of [1, 7, 1000]) {
      const pages = await pagesOf(filter, size)
      expect(pages.flat()).toEqual(wanted)
      expect(Math.max(...pages.map((page) => page.length))).toBeLessThanOrEqual(size)
    }
    // however little one page looks at
    for (const lookedAt of [
      { writes: 4, batches: 3 },
      { writes: 30, batches: 1 },
    ])
      expect((await pagesOf(filter, 2, lookedAt)).flat()).toEqual(wanted)
  })

  it('hold all that was moved by hand after a time, however little one page looks at', async () => {
    const { sql } = database
    const [row] = await sql<{ now: Date }[]>`select now() as now`
    const ago = (minutes: number): Date => new Date(row!.now.getTime() - minutes * 60_000)
    const everywhere = await sql<{ id: string; ours: boolean }[]>`
      select id, installation_id = ${installationId} as ours from write where operation_id is null
      union all select id, true from operation where installation_id = ${installationId}
      order by id desc`
    const last = new Map<string, number>()
    for (const [index, { id }] of everywhere.entries()) {
      // some never, some once, some twice
      for (const number of [1, 2].slice(0, index % 3)) {
        const minutes = 100 * (3 - number) + (index % 50)
        await sql`insert into hand (operation_id, number, move, records, at)
          values (${id}, ${number}, 'retry', 1, ${ago(minutes)})`
        last.set(id, minutes)
      }
    }
    const filter = { status: null, objectName: null, reference: null }
    for (const minutes of [1_000, 225, 120, 0]) {
      const wanted = everywhere
        .filter(({ id, ours }) => ours && (last.get(id) ?? Infinity) < minutes)
        .map(({ id }) => id)
      expect(wanted.length > 10).toBe(minutes > 0)
      const moved = { ...filter, movedAfter: ago(minutes) }
      for (const size of [1, 7, 1000]) expect((await pagesOf(moved, size)).flat()).toEqual(wanted)
      for (const writes of [1, 5]) {
        const pages = await pagesOf(moved, 2, { writes, batches: 1 })
        expect(pages.flat()).toEqual(wanted)
      }
    }
    await sql`delete from hand`
  })

  it('are cut short by the records in them', async () => {
    const { sql } = database
    const crowded = laneKey()
    const batches = Array.from({ length: 102 }, () => incomingBatch(crowded, new Array<object>(100).fill({})))
    for (let from = 0; from < batches.length; from += 20) await addWrites(sql, batches.slice(from, from + 20))
    const filter = { status: null, objectName: null, reference: null, movedAfter: null }
    const first = await findOperations(sql, crowded.installationId, filter, { size: 1000, after: null })
    expect(first.ids).toHaveLength(100)
    const second = await findOperations(sql, crowded.installationId, filter, {
      size: 1000,
      after: first.next,
    })
    expect([...first.ids, ...second.ids].sort()).toEqual(batches.map(({ operation }) => operation.id).sort())
    expect(second.next).toBeNull()
  })
})
