import type { Sql } from '../db/connect.ts'
import type { FoundOperations, ListPage, OperationFilter, OperationStatus } from '../model/following.ts'

/** Rows of each kind that one page looks at, where a filter is left that no index answers. */
const LOOKED_AT = { writes: 20_000, batches: 200 }
type LookedAt = typeof LOOKED_AT
/** Records of one page: caller-built batches have up to 2,000 each. */
const MAX_RECORDS = 10_000
const LAST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

/** What leaves nothing out. */
const anything = (sql: Sql) => sql`true`

/** A part of a statement. */
type Fragment = ReturnType<typeof anything>

interface Row {
  /** Null in the one row that is left when nothing was found. */
  id: string | null
  size: number
  floor: string | null
}

/**
 * Finds a page of an installation's operations, newest first: writes of their own and caller-built batches,
 * two ordered walks (one more for each status) that are merged.
 *
 * What an index answers is found by reading no more than the page. Where a filter is left over (an object; with
 * a reference also the status; the status of batches), only so many rows are looked at: the page then holds what
 * is among them, down to none, and the next one goes on from there. The same goes for operations that were moved
 * by hand: the moves of all installations are looked through.
 *
 * @param lookedAt rows that are looked at where a filter is left over
 */
export async function findOperations(
  sql: Sql,
  installationId: string,
  filter: OperationFilter,
  page: ListPage,
  lookedAt: LookedAt = LOOKED_AT,
): Promise<FoundOperations> {
  const rows = await findStatement(sql, installationId, filter, page, lookedAt)
  const found = rows.filter((row): row is Row & { id: string } => row.id !== null)
  const ids: string[] = []
  let records = 0
  for (const row of found) {
    records += row.size
    if (ids.length === page.size || (records > MAX_RECORDS && ids.length > 0))
      return { ids, next: ids.at(-1) ?? null }
    ids.push(row.id)
  }
  return { ids, next: rows[0]?.floor ?? null }
}

/** The look itself, not sent yet: exported so that its plan can be held by a test. */
export function findStatement(
  sql: Sql,
  installationId: string,
  filter: OperationFilter,
  { size, after }: ListPage,
  lookedAt: LookedAt = LOOKED_AT,
) {
  const from = { installationId, after: after ?? LAST_ID, size, lookedAt }
  const sources =
    filter.movedAfter === null
      ? [...writeSources(sql, filter, from), batchSource(sql, filter, from)]
      : [movedSource(sql, filter.movedAfter, from)]
  const [first, ...others] = sources as [Fragment, ...Fragment[]]
  const all = others.reduce((union, source) => sql`${union} union all ${source}`, first)
  return sql<Row[]>`
    with looked as materialized (
      ${all}
    ), floors as materialized (
      -- below the lowest row of a walk that went on, that walk has not been
      select max(floor)::uuid as floor from (
        select min(id::text) as floor from looked group by source, look having count(*) = look
      ) unfinished
    )
    select found.id, found.size, f.floor
    from floors f left join lateral (
      select id, size from looked where fits and (f.floor is null or id >= f.floor)
      order by id desc limit ${size + 1}
    ) found on true
    order by found.id desc`
}

interface From {
  installationId: string
  after: string
  size: number
  lookedAt: LookedAt
}

const statuses = ['in_progress', 'success', 'failure'] as const

/** Constant texts: each is the predicate of an index. */
const stateIs = (sql: Sql, status: OperationStatus): Fragment => {
  if (status === 'in_progress') return sql`w.state in ('queued', 'sending')`
  if (status === 'success') return sql`w.state = 'succeeded'`
  return sql`w.state in ('failed', 'in_doubt', 'cancelled')`
}

/** The walks over writes of their own: by reference, or one for each status. */
function writeSources(sql: Sql, filter: OperationFilter, from: From): Fragment[] {
  const { status, objectName, reference } = filter
  const object = objectName === null ? anything(sql) : sql`w.object_name = ${objectName}`
  if (reference !== null) {
    const isExact = status === null && objectName === null
    const state = status === null ? anything(sql) : stateIs(sql, status)
    return [
      writeSource(sql, from, 0, {
        index: sql`hashtextextended(w.reference, 0) = hashtextextended(${reference}::text, 0) and w.reference is not null`,
        fits: sql`w.reference = ${reference} and ${state} and ${object}`,
        isExact,
      }),
    ]
  }
  return (status === null ? statuses : [status]).map((one, source) =>
    writeSource(sql, from, source, {
      index: stateIs(sql, one),
      fits: object,
      isExact: objectName === null,
    }),
  )
}

interface Walk {
  /** What the walked index is of. */
  index: Fragment
  /** What is left to check of each row. */
  fits: Fragment
  /** Whether the index answers all of it. */
  isExact: boolean
}

function writeSource(sql: Sql, from: From, source: number, { index, fits, isExact }: Walk): Fragment {
  const look = isExact ? from.size + 1 : from.lookedAt.writes
  return sql`(
    select w.id, 1 as size, ${fits} as fits, ${source}::int as source, ${look}::int as look
    from write w
    where w.installation_id = ${from.installationId} and w.operation_id is null and ${index} and w.id < ${from.after}
    order by w.id desc limit ${look})`
}

/** The walk over caller-built batches. Their status is that of their records, so it is looked up. */
function batchSource(sql: Sql, filter: OperationFilter, from: From): Fragment {
  const { status, objectName, reference } = filter
  const look = status === null && objectName === null ? from.size + 1 : from.lookedAt.batches
  const object = objectName === null ? anything(sql) : sql`b.object_name = ${objectName}`
  const named = reference === null ? anything(sql) : sql`b.reference = ${reference}`
  const index =
    reference === null
      ? anything(sql)
      : sql`hashtextextended(o.reference, 0) = hashtextextended(${reference}::text, 0) and o.reference is not null`
  const fits = sql`${named} and ${object} and ${status === null ? anything(sql) : batchStatusIs(sql, status)}`
  return sql`(
    select b.id, cardinality(b.members) as size, ${fits} as fits, ${statuses.length}::int as source, ${look}::int as look
    from (
      select o.id, o.members, o.object_name, o.reference from operation o
      where o.installation_id = ${from.installationId} and ${index} and o.id < ${from.after}
      order by o.id desc limit ${look}
    ) b)`
}

const batchStatusIs = (sql: Sql, status: OperationStatus): Fragment => sql`(
  select case when bool_or(w.state in ('queued', 'sending')) then 'in_progress'
              when bool_or(w.state = 'succeeded') then 'success' else 'failure' end
  from unnest(b.members) as m (id) cross join lateral (select state from write where id = m.id limit 1) w
) = ${status}`

/**
 * The operations, of writes of their own and of batches, that were moved by hand after a time. Their moves are
 * found by time and then put into the list's order: they are few.
 */
const movedSource = (sql: Sql, movedAfter: Date, { installationId, after, lookedAt }: From): Fragment => sql`(
  select moved.id, coalesce(found.size, 0) as size, found.size is not null as fits, 0::int as source,
    ${lookedAt.writes}::int as look
  from (
    select distinct operation_id as id from (
      -- In seconds: a time of the year 0 has no text that the database reads. The offset keeps the look at the
      -- index by time: that by operation has the order which is wanted, and would be read whole.
      select operation_id from hand where at > to_timestamp(${movedAfter.getTime() / 1000}::float8) offset 0
    ) recent
    where operation_id < ${after}
    order by id desc limit ${lookedAt.writes}
  ) moved left join lateral (
    select 1 as size from write w
    where w.id = moved.id and w.installation_id = ${installationId} and w.operation_id is null
    union all
    select cardinality(o.members) from operation o where o.id = moved.id and o.installation_id = ${installationId}
  ) found on true)`
