import { afterAll, beforeAll } from 'vitest'
import { createSendNow, type SendNow, type SendNowOptions } from '../../src/batcher/send-now.ts'
import type { Database, Sql } from '../../src/db/connect.ts'
import { startOutcomeWaiter, type OutcomeWaiter } from '../../src/ingest/await-outcome.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import type { CallAnswer, RecordAnswer } from '../../src/model/outcome.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { refuseIllegalMoves } from '../support/queue-fixture.ts'
import type { ProviderCall } from './fixture.ts'
import { handMadeProvider, runnerWith, type HandMadeProvider } from './fixture.ts'

/** Synchronous calls on a hand-made provider. */
export interface NowProcess extends SendNow {
  provider: HandMadeProvider
}

/** Starts what makes synchronous calls; `stopAll` ends all that were started, with their one waiter. */
export function nowProcesses(sql: () => Sql) {
  let waiter: Promise<OutcomeWaiter> | null = null
  const started: SendNow[] = []
  return {
    start: async (
      answer?: ((call: ProviderCall) => CallAnswer | Promise<CallAnswer>) | HandMadeProvider,
      part: Partial<SendNowOptions> = {},
    ): Promise<NowProcess> => {
      waiter ??= startOutcomeWaiter({ sql: sql(), clock: systemClock, logger: silentLogger })
      const provider = typeof answer === 'object' ? answer : handMadeProvider(answer)
      const runner = runnerWith(sql(), provider, { random: () => 0.5, ...part })
      const now = createSendNow({ ...runner, waiter: await waiter, ...part })
      started.push(now)
      return Object.assign(Object.create(now) as SendNow, { provider })
    },
    stopAll: async (): Promise<void> => {
      await Promise.all(started.map((now) => now.stop(0)))
      await (await waiter)?.stop()
    },
  }
}

/** A database of a file's own, on which every illegal move fails, and what makes synchronous calls on it. */
export function nowDatabase() {
  let database: TestDatabase
  const sql = (): Database => database.sql
  const processes = nowProcesses(sql)
  beforeAll(async () => {
    database = await createTestDatabase()
    await refuseIllegalMoves(database.sql)
  })
  afterAll(async () => {
    await processes.stopAll()
    await database.drop()
  })
  return { sql, processes }
}

/** One answer after the other; the last of them again and again. */
export const inTurn = (...answers: ((call: ProviderCall) => CallAnswer | Promise<CallAnswer>)[]) => {
  let next = 0
  return (call: ProviderCall): CallAnswer | Promise<CallAnswer> => {
    const answer = answers[Math.min(next, answers.length - 1)]!
    next += 1
    return answer(call)
  }
}

const failure = (
  code: string,
  errorClass: (RecordAnswer & { ok: false })['errorClass'],
): RecordAnswer & { ok: false } => ({
  ok: false,
  errors: [{ code, message: `${code} it says`, fields: [] }],
  errorClass,
  raw: { code },
})

export const written: RecordAnswer & { ok: true } = {
  ok: true,
  recordId: '003000000000001',
  created: true,
  raw: { id: 'raw' },
}
export const locked = failure('UNABLE_TO_LOCK_ROW', 'transient')
export const refused = failure('REQUIRED_FIELD_MISSING', 'permanent')
/** A refusal that depends on what the org holds. */
export const invalid = failure('INSUFFICIENT_ACCESS_OR_READONLY', 'permanent')
export const ambiguous = failure('UNKNOWN_EXCEPTION', 'ambiguous')
export const rolledBack = failure('ALL_OR_NONE_OPERATION_ROLLED_BACK', 'again')

/** An answer to each record of the call. */
export const answered =
  (...records: RecordAnswer[]) =>
  (): CallAnswer => ({ kind: 'answered', status: 200, records, usage: null })

const networkError = (code: string) => ({ code, message: `${code} it says`, fields: [] })
export const lost =
  (code = 'ECONNRESET') =>
  (): CallAnswer => ({ kind: 'lost', status: null, error: networkError(code) })
export const notSent = (): CallAnswer => ({ kind: 'not_sent', error: networkError('ECONNREFUSED') })

/** The whole call is refused. */
export const refusal = (part: Partial<CallAnswer & { kind: 'refused' }>) => (): CallAnswer => ({
  kind: 'refused',
  status: 403,
  errors: [networkError('REQUEST_LIMIT_EXCEEDED')],
  errorClass: 'throttled',
  usage: null,
  ...part,
})

/** No answer until the call is given up. */
export const silent = ({ options }: ProviderCall): Promise<CallAnswer> =>
  new Promise((resolve) => {
    const cancel = systemClock.after(options.timeoutMs, () => resolve(lost('TIMEOUT')()))
    options.signal?.addEventListener('abort', () => {
      cancel()
      resolve(lost('ABORTED')())
    })
  })

/** What the log of a write says: the decision and the provider's code of each attempt, and its batch. */
export async function attemptsOf(sql: Sql, id: string): Promise<string[]> {
  const rows = await sql<{ decision: string; code: string | null }[]>`
    select decision, errors->0->>'code' as code from attempt where write_id = ${id} order by number`
  return rows.map(({ decision, code }) => (code === null ? decision : `${decision} ${code}`))
}

/** Batches of an installation: their states, in the order in which they were made. */
export async function batchesOf(sql: Sql, installationId: string): Promise<string[]> {
  const rows = await sql<{ state: string; answer: string | null; synchronous: boolean }[]>`
    select state, answer, synchronous from batch where installation_id = ${installationId} order by claimed_at, id`
  return rows.map((row) => `${row.synchronous ? 'now ' : ''}${row.state} ${row.answer ?? ''}`.trim())
}
