import type { BatchRunner, SendingSession } from '../../src/batcher/run-batch.ts'
import type { Sql } from '../../src/db/connect.ts'
import { createGroupCommit, type IncomingWrite } from '../../src/ingest/group-commit.ts'
import { systemClock, type Clock } from '../../src/kernel/clock.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import type { CallAnswer, RecordAnswer } from '../../src/model/outcome.ts'
import type { CallOptions, Provider, ProviderGroup } from '../../src/providers/provider.ts'
import type { NudgeInTransaction } from '../../src/outcomes/record-batch.ts'
import type { Turn } from '../../src/wakeups/dispatcher.ts'

/** One call that reached the provider. */
export interface ProviderCall {
  group: ProviderGroup
  options: CallOptions
}

/** A provider made by hand: it keeps what it was asked, and answers as the test says. */
export interface HandMadeProvider extends Provider {
  calls: ProviderCall[]
}

let recordIds = 0

/** Every record written. */
export const allWritten = (group: ProviderGroup): CallAnswer => ({
  kind: 'answered',
  status: 200,
  usage: null,
  records: group.records.map((): RecordAnswer => {
    recordIds += 1
    return { ok: true, recordId: `id-${recordIds}`, created: group.type === 'create' }
  }),
})

export function handMadeProvider(
  answer: (call: ProviderCall) => CallAnswer | Promise<CallAnswer> = ({ group }) => allWritten(group),
): HandMadeProvider {
  const calls: ProviderCall[] = []
  return {
    name: 'by hand',
    calls,
    openSession: () => Promise.reject(new Error('sessions are not opened here')),
    sendGroup: async (_session, group, options) => {
      const call = { group, options }
      calls.push(call)
      return answer(call)
    },
    close: () => Promise.resolve(),
  }
}

/** A provider whose calls stay open until they are answered by the test. */
export function heldProvider() {
  const waiting: { call: ProviderCall; answer: (answer: CallAnswer) => void }[] = []
  const arrivals: (() => void)[] = []
  const provider = handMadeProvider(
    (call) =>
      new Promise((answer) => {
        waiting.push({ call, answer })
        for (const arrived of arrivals.splice(0)) arrived()
      }),
  )
  return {
    provider,
    /** Calls that are open now. */
    get open() {
      return waiting.length
    },
    /** Resolves when at least so many calls have come in all. */
    called: async (count: number): Promise<void> => {
      while (provider.calls.length < count) await new Promise<void>((resolve) => arrivals.push(resolve))
    },
    /** Answers the longest open call; all written unless told otherwise. */
    answer: (answer: (group: ProviderGroup) => CallAnswer = allWritten): void => {
      const held = waiting.shift()
      held?.answer(answer(held.call.group))
    },
  }
}

/** A session with this provider. */
export const sessionWith = (provider: Provider): SendingSession => ({
  provider,
  session: { accessToken: 'token', instanceUrl: 'https://example.test' },
  version: 1,
})

/** What a worker runs batches with; wake-ups go nowhere unless given. */
export const runnerWith = (sql: Sql, provider: Provider, part: Partial<BatchRunner> = {}): BatchRunner => ({
  sql,
  nudge: () => Promise.resolve(),
  sessions: {
    open: () => Promise.resolve(sessionWith(provider)),
    refresh: () => Promise.reject(new Error('no session was refused')),
  },
  clock: systemClock,
  logger: silentLogger,
  worker: 'test',
  callTimeoutMs: 10_000,
  random: () => 0,
  inFlight: new Set(),
  ...part,
})

/** A turn of a process that keeps running. */
export const turn = (part: Partial<Turn> = {}): Turn => ({
  stopping: () => false,
  signal: new AbortController().signal,
  ...part,
})

/** Adds writes with their wake-ups. */
export async function addWithWakeups(
  sql: Sql,
  nudge: NudgeInTransaction,
  writes: IncomingWrite[],
): Promise<string[]> {
  const commits = createGroupCommit({ sql, nudge })
  await Promise.all(writes.map((write) => commits.add(write)))
  return writes.map((write) => write.write.id)
}

/** A write's state and count of attempts, as `state attempts`, in the order of the ids. */
export async function states(sql: Sql, ids: string[]): Promise<string[]> {
  const rows = await sql<{ id: string; state: string; attempts: number }[]>`
    select id, state, attempts from write where id = any (${ids}::uuid[])`
  return ids.map((id) => {
    const row = rows.find((one) => one.id === id)
    return `${row?.state ?? 'gone'} ${row?.attempts ?? 0}`
  })
}

/** Lets the leases of all open batches run out, as if their workers had been silent for that long. */
export async function endLeases(sql: Sql): Promise<void> {
  await sql`update batch set lease_until = now() - interval '1 s' where state <> 'ended'`
}

/** A clock whose timers run when the test says so, those that are set meanwhile at the next time. */
export function steppedClock(): Clock & { step: () => void } {
  const timers = new Set<() => void>()
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    after: (_ms, fn) => {
      timers.add(fn)
      return () => timers.delete(fn)
    },
    step: () => {
      for (const fn of [...timers]) if (timers.delete(fn)) fn()
    },
  }
}
