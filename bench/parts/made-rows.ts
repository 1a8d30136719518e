import type { Sql } from '../../src/db/connect.ts'
import { bodyOf, fiveObjects, makeWrites, type WriteTarget } from './writes.ts'
import type { Customer, Ours } from './service.ts'

/** Rows of one statement. */
const CHUNK = 250_000
/** Days over which finished rows are spread, up to yesterday. */
const DAYS = 6

/** Where rows are made: an installation's lanes, a lane for each object, and a record for each. */
interface Place {
  projectId: string
  installationId: string
  configId: string
  lanes: string[]
  objects: string[]
  records: string[]
}

/** Has the lanes made by a write of each object, which then wait with the others. */
export async function preparePlace(ours: Ours, { target, installationId }: Customer): Promise<Place> {
  const writes = makeWrites(1, fiveObjects.length)
  for (const write of writes) await postOne(ours, target, write)
  const { sql } = ours.database
  const lanes = await sql<{ id: string; object: string }[]>`
    select id, object_name as object from lane where installation_id = ${installationId}`
  const [installation] = await sql<{ configId: string }[]>`
    select config_id as "configId" from installation where id = ${installationId}`
  return {
    projectId: ours.project.projectId,
    installationId,
    configId: installation?.configId ?? '',
    lanes: lanes.map(({ id }) => id),
    objects: lanes.map(({ object }) => object),
    records: lanes.map(({ object }) =>
      JSON.stringify(writes.find((write) => write.object === object)?.record ?? {}),
    ),
  }
}

async function postOne(
  { call }: Ours,
  target: WriteTarget,
  write: ReturnType<typeof makeWrites>[number],
): Promise<void> {
  const path = target.pathOf(write.object)
  const answer = await call('POST', path, bodyOf(target.groupRef, write))
  if (answer.status !== 200) throw new Error(`a write was answered with ${answer.status}`)
}

/** Adds waiting rows to the lanes, as if they had been accepted now: the rows and the lanes' sums in one transaction. */
export async function makeWaiting(sql: Sql, place: Place, count: number): Promise<void> {
  const lanes = place.lanes.length
  await sql.begin(async (tx) => {
    await tx`select from lane where id = any (${place.lanes}::uuid[]) order by id for no key update`
    const [first] = await tx<{ id: string }[]>`select uuidv7() as id`
    for (let from = 0; from < count; from += CHUNK)
      await tx`
        insert into write (id, lane_id, installation_id, project_id, config_id, object_name, record, bytes,
                           max_records, available_at, due_at, deadline_at, accepted_at, updated_at)
        select uuidv7(), (${place.lanes}::uuid[])[1 + n % ${lanes}::int], ${place.installationId}, ${place.projectId},
          ${place.configId}, (${place.objects}::text[])[1 + n % ${lanes}::int],
          (${place.records}::text[])[1 + n % ${lanes}::int],
          octet_length((${place.records}::text[])[1 + n % ${lanes}::int]),
          100, now(), now(), now() + interval '24 hours', now(), now()
        from generate_series(${from}::int, ${Math.min(count, from + CHUNK) - 1}::int) as n`
    await tx`
      update lane set waiting = waiting + ${Math.floor(count / lanes)}, due_at = least(due_at, now()),
        from_id = least(from_id, ${first?.id ?? ''}::uuid)
      where id = any (${place.lanes}::uuid[])`
  })
}

/** Adds rows that ended on the days before today, each with its attempt. */
export async function makeFinished(
  sql: Sql,
  place: Place,
  count: number,
  onProgress: (made: number) => void,
): Promise<void> {
  await sql`select make_partitions((now() at time zone 'UTC')::date - ${DAYS + 1}::int, (now() at time zone 'UTC')::date)`
  let made = 0
  const makeRange = async (first: number, end: number): Promise<void> => {
    for (let from = first; from < end; from += CHUNK) {
      const to = Math.min(end, from + CHUNK)
      await insertFinished(sql, place, count, { from, to })
      made += to - from
      onProgress(made)
    }
  }
  // Two at a time, on days far from each other: one alone would keep one processor busy.
  const half = Math.ceil(count / 2)
  await Promise.all([makeRange(0, half), makeRange(half, count)])
}

/** The rows of a range among all of them: the place in it decides the day. */
async function insertFinished(
  sql: Sql,
  place: Place,
  count: number,
  range: { from: number; to: number },
): Promise<void> {
  const lanes = place.lanes.length
  await sql`
    with made as (
      select n, make_interval(secs => 86400.0 * (${DAYS}::int - ${DAYS - 1}::float8 * n / ${count}::float8)) as ago
      from generate_series(${range.from}::int, ${range.to - 1}::int) as n
    ), inserted as (
      insert into write (id, lane_id, installation_id, project_id, config_id, object_name, record, bytes, max_records,
                         available_at, due_at, deadline_at, accepted_at, updated_at, state, attempts,
                         last_attempt_at, batch_id, record_id, created, ended_at)
      select uuidv7(-ago), (${place.lanes}::uuid[])[1 + n % ${lanes}::int], ${place.installationId},
        ${place.projectId}, ${place.configId}, (${place.objects}::text[])[1 + n % ${lanes}::int],
        (${place.records}::text[])[1 + n % ${lanes}::int],
        octet_length((${place.records}::text[])[1 + n % ${lanes}::int]), 100,
        now() - ago, now() - ago, now() - ago + interval '1 hour', now() - ago, now() - ago, 'succeeded', 1,
        now() - ago, uuid_at(now() - ago), '003' || lpad(n::text, 15, '0'), true, now() - ago
      from made returning id, batch_id, ended_at
    )
    insert into attempt (write_id, number, batch_id, position, decision, status, started_at, ended_at)
    select id, 1, batch_id, 0, 'succeeded', 200, ended_at, ended_at from inserted`
}

/** What autovacuum would have done by then: done here, so that it does not fall into a measurement. */
export async function vacuum(sql: Sql): Promise<void> {
  await sql`vacuum (analyze) write`
  await sql`vacuum (analyze) attempt`
  await sql`vacuum (analyze) lane`
}
