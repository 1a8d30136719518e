/**
 * The limit of what the database takes: multi-row inserts of the rows that bulk submit makes into the
 * service's own table, and nothing else. No lane is counted up, no order kept, no wake-up set.
 *
 * `--rows N --per-transaction N --connections N`, `DATABASE_URL` with the service's migrations applied
 */
import { randomUUID } from 'node:crypto'
import postgres from 'postgres'
import { newId } from '../../src/kernel/ids.ts'
import { readArguments, wholeNumber } from './arguments.ts'
import { endWith, required, tell } from './process.ts'
import { objectNames, recordOf } from './records.ts'

const args = readArguments(['rows', 'per-transaction', 'connections'])
const rows = wholeNumber('rows', args.rows)
const perTransaction = wholeNumber('per-transaction', args['per-transaction'])
const connections = wholeNumber('connections', args.connections)

const installationId = randomUUID()
const projectId = randomUUID()
const configId = randomUUID()
const lanes = objectNames.map((objectName) => ({ objectName, laneId: randomUUID() }))

const sql = postgres(required('DATABASE_URL'), { max: connections, onnotice: () => undefined })
endWith(() => sql.end({ timeout: 5 }))

/** One transaction: a single statement, which the server commits by itself. */
async function insert(first: number, count: number): Promise<void> {
  const ids: string[] = []
  const laneIds: string[] = []
  const names: string[] = []
  const records: string[] = []
  const bytes: number[] = []
  for (let index = first; index < first + count; index += 1) {
    const lane = lanes[index % lanes.length]
    if (lane === undefined) continue
    const record = JSON.stringify(recordOf(lane.objectName, index))
    ids.push(newId())
    laneIds.push(lane.laneId)
    names.push(lane.objectName)
    records.push(record)
    bytes.push(Buffer.byteLength(record))
  }
  await sql`
    insert into write (id, lane_id, installation_id, project_id, config_id, object_name, record, bytes,
                       blocked, max_records, available_at, due_at, deadline_at, accepted_at, updated_at)
    select t.id, t.lane_id, ${installationId}, ${projectId}, ${configId}, t.object_name, t.record, t.bytes,
           false, 100, now(), now() + interval '1 minute', now() + interval '1 hour', now(), now()
    from unnest(${ids}::uuid[], ${laneIds}::uuid[], ${names}::text[], ${records}::text[], ${bytes}::int[])
      as t (id, lane_id, object_name, record, bytes)`
}

/** Runs a task in as many places at once as there are connections. */
const onEach = (task: () => Promise<void>): Promise<unknown> =>
  Promise.all(Array.from({ length: connections }, task))

// Connections are there before the clock runs, and each has the statement prepared.
await onEach(() => insert(0, 0))

let next = 0
const started = performance.now()
await onEach(async () => {
  while (next < rows) {
    const first = next
    next = Math.min(rows, first + perTransaction)
    await insert(first, next - first)
  }
})
const seconds = (performance.now() - started) / 1000
await sql.end()
tell({ rows, seconds })
process.exit(0)
