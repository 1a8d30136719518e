/**
 * Fastify, one pg-boss `send` for each write, and a worker that fetches 100, groups them in memory, sends
 * each group as an sObject collection and settles each job by its own result.
 */
import { PgBoss, type Job, type JobResult } from 'pg-boss'
import { serve, type Write } from './front.ts'
import { numberFrom, required, role } from './process.ts'
import { connect, groupKey, sendGroup, type Connection, type Outcome } from './salesforce.ts'
import { Tally } from './tally.ts'

const QUEUE = 'writes'
const RETRY_LIMIT = 5

const boss = new PgBoss({
  connectionString: required('DATABASE_URL'),
  // With 64 callers the accepts were most with 40: commits under way at once share a flush to disk.
  max: numberFrom('DB_CONNECTIONS', 40),
  schedule: false,
  supervise: role !== 'api',
})
boss.on('error', (error) => process.stderr.write(`${String(error)}\n`))
await boss.start()
await boss.createQueue(QUEUE, { retryLimit: RETRY_LIMIT, retryDelay: 1, retryBackoff: true })

const tally = new Tally(async () => {
  const { rows } = await boss
    .getDb()
    .executeSql(`select count(*)::int as waiting from pgboss.job where name = $1 and state < 'completed'`, [
      QUEUE,
    ])
  return (rows as { waiting: number }[])[0]?.waiting ?? 0
})

/** How a job is settled; what no retry can mend goes straight to the end, past the retries. */
function resultOf({ id, retryCount }: Job<Write>, outcome: Outcome | undefined): JobResult {
  if (outcome?.kind === 'succeeded')
    return { id, status: 'completed', output: { recordId: outcome.recordId } }
  const error = outcome?.error ?? 'Salesforce gave no result'
  const isFinal = outcome?.kind === 'failed' || retryCount >= RETRY_LIMIT
  return { id, status: isFinal ? 'deadletter' : 'failed', output: { error } }
}

async function sendJobs(connection: Connection, jobs: Job<Write>[]): Promise<JobResult[]> {
  const groups = Map.groupBy(jobs, ({ data }) => groupKey(data))
  const sent = [...groups.values()].map(async (group) => {
    tally.calls += 1
    const outcomes = await sendGroup(
      connection,
      group.map(({ data }) => data),
    )
    return group.map((job, index) => resultOf(job, outcomes[index]))
  })
  return (await Promise.all(sent)).flat()
}

async function drain(): Promise<void> {
  if (role === 'worker') await tally.findBacklog()
  const connection = await connect(required('LOGIN_URL'))
  const options = {
    batchSize: 100,
    localConcurrency: numberFrom('FETCHES', 4),
    // Polled as often as it may be, and without a pause while there is a full batch. The queue has no NOTIFY:
    // it would make commits wait for each other, and wake a worker for a single write.
    pollingIntervalSeconds: 0.5,
    burstWhenBatchFull: true,
    perJobResults: true,
  } as const
  await boss.work<Write, unknown, typeof options>(QUEUE, options, async (jobs) => {
    const results = await sendJobs(connection, jobs)
    for (const { status } of results) {
      if (status === 'completed') tally.succeeded += 1
      if (status === 'deadletter') tally.failed += 1
    }
    return results
  })
}

await serve({
  accept: async (write) => {
    const id = await boss.send(QUEUE, write)
    if (id === null) throw new Error('pg-boss took no job')
    tally.accepted()
    return id
  },
  drain,
  done: () => tally.read(),
  stop: () => boss.stop(),
})
