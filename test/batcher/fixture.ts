import type { CallRunner } from '../../src/batcher/run-call.ts'
import type { SendingSession } from '../../src/batcher/sessions.ts'
import type { Sql } from '../../src/db/connect.ts'
import { createGroupCommit } from '../../src/ingest/group-commit.ts'
import type { Submission } from '../../src/queue/insert-writes.ts'
import { systemClock, type Clock } from '../../src/kernel/clock.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { defaultCallSettings } from '../../src/model/object-entry.ts'
import type { CallAnswer, RecordAnswer } from '../../src/model/outcome.ts'
import type {
  CallOptions,
  FieldRead,
  FieldsRead,
  LookedUp,
  LookUp,
  Provider,
  ProviderGroup,
} from '../../src/providers/provider.ts'
import type { NudgeInTransaction } from '../../src/outcomes/record-batch.ts'
import type { Turn } from '../../src/wakeups/dispatcher.ts'

/** One group that reached the provider. */
export interface ProviderCall {
  group: ProviderGroup
  options: CallOptions
  /** Which call it was part of, counted from 0: groups that travel together share it. */
  call: number
}

/** A provider made by hand: it keeps what it was asked, and answers as the test says. */
export interface HandMadeProvider extends Provider {
  /** The groups in the order in which they were sent. */
  calls: ProviderCall[]
  /** Reads of fields, in order. */
  reads: FieldRead[]
  /** Records that were sent on their own to update what they collide with. */
  collisions: string[]
  /** Look-ups of records whose answers were lost, in order. */
  lookUps: LookUp[]
}

/** What a hand-made provider does beside sending groups. */
export interface HandMadeParts {
  readFields?: (read: FieldRead) => FieldsRead
  updateCollision?: (record: string) => CallAnswer
  lookUp?: (lookUp: LookUp) => LookedUp
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
  parts: HandMadeParts = {},
): HandMadeProvider {
  const calls: ProviderCall[] = []
  const reads: FieldRead[] = []
  const collisions: string[] = []
  const lookUps: LookUp[] = []
  let count = 0
  return {
    name: 'by hand',
    calls,
    reads,
    collisions,
    lookUps,
    openSession: () => Promise.reject(new Error('sessions are not opened here')),
    sendGroups: async (_session, groups, options) => {
      const call = count
      count += 1
      const sent = groups.map((group) => ({ group, options, call }))
      calls.push(...sent)
      return { answers: await Promise.all(sent.map(async (one) => answer(one))), calls: 1 }
    },
    readFields: (_session, read) => {
      reads.push(read)
      const none: FieldsRead = { kind: 'read', filled: read.keys.map(() => null) }
      return Promise.resolve({ answer: parts.readFields?.(read) ?? none, calls: 1 })
    },
    updateCollision: (_session, group, position) => {
      const record = group.records[position] ?? ''
      collisions.push(record)
      return Promise.resolve({ answer: parts.updateCollision?.(record) ?? allWritten(group), calls: 2 })
    },
    lookUp: (_session, lookUp) => {
      lookUps.push(lookUp)
      const none: LookedUp = { kind: 'found', matches: lookUp.records.map(() => null), usage: null }
      return Promise.resolve({ answer: parts.lookUp?.(lookUp) ?? none, calls: 1 })
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
  worked: () => undefined,
})

/** What a worker runs batches with; wake-ups go nowhere unless given. */
export const runnerWith = (sql: Sql, provider: Provider, part: Partial<CallRunner> = {}): CallRunner => ({
  sql,
  nudge: () => Promise.resolve(),
  sessions: {
    open: () => Promise.resolve(sessionWith(provider)),
    refresh: () => Promise.reject(new Error('no session was refused')),
  },
  clock: systemClock,
  logger: silentLogger,
  worker: 'test',
  // One group for each call: what is packed is another test's matter.
  settingsOf: () => Promise.resolve({ ...defaultCallSettings, packing: 'none' }),
  maxConcurrency: 4,
  callTimeoutMs: 10_000,
  leaseSeconds: 30,
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
  submissions: Submission[],
): Promise<string[]> {
  const commits = createGroupCommit({ sql, nudge })
  await Promise.all(submissions.map((submission) => commits.add(submission)))
  return submissions.flatMap(({ writes }) => writes.map((write) => write.id))
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
