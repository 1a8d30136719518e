/**
 * Fastify, one graphile-worker job for each write, and a worker that runs hundreds of jobs at once, each of
 * which waits for the sObject collection that it shares with others of its object and type.
 *
 * Its own batch jobs, whose payload is a list under a job key, would make every accept rewrite the same
 * row, one after the other, and the list has no upper bound.
 */
import { serve, type Write } from './front.ts'
import { coalesce } from './coalesce.ts'
import { numberFrom, required, role } from './process.ts'
import { connect, groupKey, sendGroup, type Outcome } from './salesforce.ts'
import { Tally } from './tally.ts'

// No line for each job that went well; the switch is read at the import.
process.env['NO_LOG_SUCCESS'] = '1'
const { Logger, makeWorkerUtils, run } = await import('graphile-worker')

const TASK = 'write'
const MAX_ATTEMPTS = 6
/** Five groups of a hundred under way: more of them ran no faster, and wait longer for each other. */
const concurrentJobs = numberFrom('CONCURRENT_JOBS', 500)

const connectionString = required('DATABASE_URL')
const logger = new Logger(() => (level: string, message) => {
  if (level === 'error') process.stderr.write(`${message}\n`)
})
const utils = await makeWorkerUtils({
  connectionString,
  // Each job added sends a NOTIFY, and those commit one at a time: more connections add no more jobs.
  maxPoolSize: numberFrom('DB_CONNECTIONS', 20),
  logger,
})
await utils.migrate()
// A job that is done is deleted, so what came of each write is kept here.
await utils.withPgClient((client) =>
  client.query(`
    create table if not exists outcome (
      job_id bigint primary key,
      succeeded boolean not null,
      record_id text,
      error text,
      ended_at timestamptz not null default now()
    )`),
)

const tally = new Tally(() =>
  utils.withPgClient(async (client) => {
    const { rows } = await client.query<{ waiting: number }>(
      'select count(*)::int as waiting from graphile_worker.jobs where attempts < max_attempts or locked_at is not null',
    )
    return rows[0]?.waiting ?? 0
  }),
)

/** A job that is being run. */
interface Running {
  id: string
  write: Write
  isLastAttempt: boolean
}

/** Keeps what is final, in one statement. */
async function keep(jobs: Running[], outcomes: Outcome[]): Promise<void> {
  const ended = jobs.flatMap(({ id, isLastAttempt }, index) => {
    const outcome = outcomes[index]
    return outcome === undefined || (outcome.kind === 'retry' && !isLastAttempt) ? [] : [{ id, outcome }]
  })
  if (ended.length === 0) return
  await utils.withPgClient((client) =>
    client.query({
      name: 'keep-outcomes',
      text: `
        insert into outcome (job_id, succeeded, record_id, error)
        select * from unnest($1::bigint[], $2::boolean[], $3::text[], $4::text[])
        on conflict (job_id) do nothing`,
      values: [
        ended.map(({ id }) => id),
        ended.map(({ outcome }) => outcome.kind === 'succeeded'),
        ended.map(({ outcome }) => (outcome.kind === 'succeeded' ? outcome.recordId : null)),
        ended.map(({ outcome }) => (outcome.kind === 'succeeded' ? null : outcome.error)),
      ],
    }),
  )
  for (const { outcome } of ended) tally[outcome.kind === 'succeeded' ? 'succeeded' : 'failed'] += 1
}

let stopWorker = (): Promise<void> => Promise.resolve()

async function drain(): Promise<void> {
  if (role === 'worker') await tally.findBacklog()
  const connection = await connect(required('LOGIN_URL'))
  const send = coalesce<Running, Outcome>({
    keyOf: ({ write }) => groupKey(write),
    maxItems: 100,
    maxWaitMs: 25,
    run: async (jobs) => {
      tally.calls += 1
      const outcomes = await sendGroup(
        connection,
        jobs.map(({ write }) => write),
      )
      await keep(jobs, outcomes)
      return outcomes
    },
  })
  const worker = await run({
    preset: {
      worker: {
        connectionString,
        maxPoolSize: 10,
        concurrentJobs,
        // All that can run are fetched in one statement, and what ends together is deleted in one.
        localQueue: { size: concurrentJobs },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
        logger,
      },
    },
    noHandleSignals: true,
    parsedCronItems: [],
    taskList: {
      [TASK]: async (payload, { job }) => {
        const isLastAttempt = job.attempts >= job.max_attempts
        const outcome = await send({ id: job.id, write: payload as Write, isLastAttempt })
        // Only what another try may mend goes back to the queue.
        if (outcome.kind === 'retry' && !isLastAttempt) throw new Error(outcome.error)
      },
    },
  })
  stopWorker = () => worker.stop()
}

await serve({
  accept: async (write) => {
    const { id } = await utils.addJob(TASK, write, { maxAttempts: MAX_ATTEMPTS })
    tally.accepted()
    return id
  },
  drain,
  done: () => tally.read(),
  stop: async () => {
    await stopWorker()
    await utils.release()
  },
})
