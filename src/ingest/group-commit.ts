import type { Sql, Tx } from '../db/connect.ts'
import { databaseErrorKind } from '../db/pg-errors.ts'
import { systemClock, type Clock } from '../kernel/clock.ts'
import { isWritebackError } from '../kernel/errors.ts'
import { createGroupBuffer, type GroupBuffer } from '../kernel/group-buffer.ts'
import { newId } from '../kernel/ids.ts'
import { noTelemetry, type Telemetry } from '../kernel/telemetry.ts'
import { laneKeyText, type LaneKey } from '../model/lane.ts'
import { ensureLane, keepLanes, LaneGone } from '../queue/ensure-lane.ts'
import { takeKeys } from '../queue/idempotency-keys.ts'
import { hastenHeads, lockLanes, type HasteningWrite } from '../queue/hasten-heads.ts'
import { insertOperations, type ArrivingOperation } from '../queue/insert-operations.ts'
import {
  arriveInLanes,
  insertWrites,
  type LaneArrival,
  type NewWrite,
  type Submission,
} from '../queue/insert-writes.ts'
import { findBusyRecords, lockOrder, recordText } from '../queue/record-order.ts'
import type { Wakeup } from '../wakeups/wakeups.ts'

/** Sets wake-ups in a transaction. */
type Nudge = (tx: Tx, wakeups: Wakeup[]) => Promise<void>

/** Options of {@link createGroupCommit}. */
export interface GroupCommitOptions {
  sql: Sql
  nudge: Nudge
  clock?: Clock
  telemetry?: Pick<Telemetry, 'accepted' | 'committed' | 'commitFailed'>
}

/** Most writes of one commit: large enough that the commit itself costs nothing, small enough to be quick. */
const MAX_ROWS = 1_000
const MAX_BYTES = 4 * 1024 * 1024
/** What a record of a caller-built batch weighs at least, so that a commit's bytes bound its rows too. */
const MIN_MEMBER_BYTES = MAX_BYTES / MAX_ROWS
/** Lanes whose ids this process remembers. */
const MAX_KNOWN_LANES = 20_000

/** Shared commits. */
export interface GroupCommit extends Omit<GroupBuffer<unknown>, 'add'> {
  /**
   * Resolves once all of a submission is durable.
   *
   * @returns false when its idempotency key belongs to an earlier call, which is durable: nothing of this
   *   one was written
   */
  add: (submission: Submission) => Promise<boolean>
}

/** A submission on its way into a commit. */
interface Arrival {
  submission: Submission
  /** Whether another one has its idempotency key; known once the commit has been made. */
  isTwin: boolean
}

/** Commits what calls bring in shared transactions. */
export function createGroupCommit(options: GroupCommitOptions): GroupCommit {
  const buffer = createBuffer(options)
  return {
    add: async (submission) => {
      const arrival: Arrival = { submission, isTwin: false }
      await buffer.add(arrival)
      return !arrival.isTwin
    },
    get pendingItems() {
      return buffer.pendingItems
    },
    get pendingBytes() {
      return buffer.pendingBytes
    },
    drained: () => buffer.drained(),
  }
}

function createBuffer(options: GroupCommitOptions): GroupBuffer<Arrival> {
  const lanes = createLaneIds(options.sql)
  const { clock = systemClock, telemetry = noTelemetry } = options
  return createGroupBuffer<Arrival>({
    maxItems: MAX_ROWS,
    maxBytes: MAX_BYTES,
    bytesOf: ({ submission }) => weightOf(submission),
    // Not when the database is away: every half would fail like the whole.
    worthSplitting: (error) => !isWritebackError(error) && databaseErrorKind(error) === 'bug',
    flush: async (arrivals) => {
      const submissions = arrivals.map(({ submission }) => submission)
      const begun = clock.monotonic()
      const twins = await commit(options, lanes, submissions)
        .catch((error: unknown) => {
          if (!(error instanceof LaneGone) && databaseErrorKind(error) !== 'retry') throw error
          // A lane was removed since we learnt its id, or two commits met in a deadlock: once more, from the start.
          lanes.forget()
          return commit(options, lanes, submissions)
        })
        .catch((error: unknown) => {
          telemetry.commitFailed()
          throw error
        })
      report(
        telemetry,
        submissions.filter((submission) => !twins.has(submission)),
        (clock.monotonic() - begun) / 1000,
      )
      for (const arrival of arrivals) arrival.isTwin = twins.has(arrival.submission)
    },
  })
}

/** Counted by type, so that a commit of a thousand writes is told in a few words. */
function report(
  telemetry: Pick<Telemetry, 'accepted' | 'committed'>,
  submissions: Submission[],
  seconds: number,
): void {
  const byType = new Map<string, number>()
  for (const { lane, writes } of submissions)
    byType.set(lane.type, (byType.get(lane.type) ?? 0) + writes.length)
  let total = 0
  for (const [type, count] of byType) {
    total += count
    telemetry.accepted('asynchronous', type, count)
  }
  if (total > 0) telemetry.committed(total, seconds)
}

function weightOf({ operation, writes }: Submission): number {
  const bytes = writes.reduce((sum, write) => sum + write.bytes, 0)
  return operation === null ? bytes : Math.max(bytes, writes.length * MIN_MEMBER_BYTES)
}

/** A write that knows its lane. */
type PlacedWrite = NewWrite & { merge: boolean }

interface CommitGroup {
  writes: PlacedWrite[]
  operations: ArrivingOperation[]
}

/** A submission that knows its lane. */
interface PlacedSubmission {
  submission: Submission
  laneId: string
}

/** The lane of each write; that of a caller-built batch is made in the commit. */
async function assignLanes(lanes: LaneIds, submissions: Submission[]): Promise<PlacedSubmission[]> {
  const placed: PlacedSubmission[] = []
  for (const submission of submissions) {
    const { lane, operation } = submission
    const laneId = operation === null ? (lanes.known(lane) ?? (await lanes.find(lane))) : newId()
    placed.push({ submission, laneId })
  }
  return placed
}

const groupOf = (placed: PlacedSubmission[]): CommitGroup => ({
  writes: placed.flatMap(({ submission: { lane, writes }, laneId }) =>
    writes.map((write) => ({ ...write, blocked: false, laneId, merge: lane.merge })),
  ),
  operations: placed.filter(({ submission }) => submission.operation !== null),
})

/**
 * One transaction for the submissions, without those that only repeat an earlier call.
 *
 * @returns the ones left out
 */
async function commit(
  options: GroupCommitOptions,
  lanes: LaneIds,
  submissions: Submission[],
): Promise<Set<Submission>> {
  const placed = await assignLanes(lanes, submissions)
  return options.sql.begin(async (tx) => {
    const twins = await takeKeys(tx, submissions)
    const group = groupOf(placed.filter(({ submission }) => !twins.has(submission)))
    if (group.writes.length > 0) await insert(tx, options, group)
    return twins
  })
}

/** Order kept, lanes counted up, rows inserted, wake-ups set. */
async function insert(tx: Tx, options: GroupCommitOptions, group: CommitGroup): Promise<void> {
  const writes = await inOrder(tx, group.writes)
  // What is blocked is counted in its lane once its turn has come.
  const arrivals = arrivalsOf(writes.filter((write) => !write.blocked))
  const blockedLanes = lanesOf(writes.filter((write) => write.blocked))
  const hastening = hasteningOf(writes)
  // Sent together, run in this order: the lanes are locked before the writes take their numbers.
  const [, , lanes, , hastened] = await Promise.all([
    group.operations.length > 0 ? insertOperations(tx, group.operations) : null,
    hastening.length > 0
      ? lockLanes(
          tx,
          [...arrivals, ...hastening].map(({ laneId }) => laneId),
        )
      : null,
    arriveInLanes(tx, arrivals),
    insertWrites(tx, writes),
    hastening.length > 0 ? hastenHeads(tx, hastening) : [],
    blockedLanes.length > 0 ? keepLanes(tx, blockedLanes) : null,
  ])
  if (lanes.length !== arrivals.length) throw new LaneGone()
  const due = lanes.filter((lane) => lane.dueSooner).map((lane) => ({ ...lane, at: lane.dueAt }))
  // A lane that was also hastened has its time from the later statement.
  const wakeups = new Map<string, Wakeup>([...due, ...hastened].map((lane) => [lane.laneId, lane]))
  await options.nudge(tx, [...wakeups.values()])
}

const lanesOf = (writes: PlacedWrite[]): string[] => [...new Set(writes.map((write) => write.laneId))]

/** What waits behind a write that it will be sent as one with. */
const hasteningOf = (writes: PlacedWrite[]): HasteningWrite[] =>
  writes.flatMap(({ merge, blocked, recordKey, laneId, installationId, delaySeconds }) =>
    merge && blocked && recordKey !== null ? [{ laneId, installationId, recordKey, delaySeconds }] : [],
  )

/** Blocks each write that has an unfinished earlier one to its record, in the database or in this group. */
async function inOrder(tx: Tx, writes: PlacedWrite[]): Promise<PlacedWrite[]> {
  const named = writes.flatMap(({ installationId, recordKey }) =>
    recordKey === null ? [] : { installationId, recordKey },
  )
  if (named.length === 0) return writes
  const installations = [...new Set(named.map((name) => name.installationId))]
  const [, busy] = await Promise.all([lockOrder(tx, installations), findBusyRecords(tx, named)])
  return writes.map((write) => {
    if (write.recordKey === null) return write
    const name = recordText({ installationId: write.installationId, recordKey: write.recordKey })
    if (busy.has(name)) return { ...write, blocked: true }
    busy.add(name)
    return write
  })
}

function arrivalsOf(writes: NewWrite[]): LaneArrival[] {
  const byLane = new Map<string, LaneArrival>()
  for (const write of writes) {
    const arrival = byLane.get(write.laneId)
    if (arrival === undefined) {
      byLane.set(write.laneId, {
        laneId: write.laneId,
        count: 1,
        minDelaySeconds: write.delaySeconds,
        minMaxRecords: write.maxRecords,
        firstId: write.id,
      })
      continue
    }
    arrival.count += 1
    arrival.minDelaySeconds = Math.min(arrival.minDelaySeconds, write.delaySeconds)
    arrival.minMaxRecords = Math.min(arrival.minMaxRecords, write.maxRecords)
    if (write.id < arrival.firstId) arrival.firstId = write.id
  }
  return [...byLane.values()]
}

interface LaneIds {
  known: (key: LaneKey) => string | undefined
  find: (key: LaneKey) => Promise<string>
  forget: () => void
}

function createLaneIds(sql: Sql): LaneIds {
  const ids = new Map<string, string>()
  const textOf = (key: LaneKey): string => key.installationId + laneKeyText(key)
  return {
    known: (key) => ids.get(textOf(key)),
    find: async (key) => {
      const id = await ensureLane(sql, key)
      if (ids.size >= MAX_KNOWN_LANES) ids.delete(ids.keys().next().value ?? '')
      ids.set(textOf(key), id)
      return id
    },
    forget: () => ids.clear(),
  }
}
