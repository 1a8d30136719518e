import type { Sql, Tx } from '../db/connect.ts'
import { databaseErrorKind } from '../db/pg-errors.ts'
import { isWritebackError, WritebackError } from '../kernel/errors.ts'
import { createGroupBuffer, type GroupBuffer } from '../kernel/group-buffer.ts'
import { laneKeyText, type LaneKey } from '../model/lane.ts'
import { ensureLane } from '../queue/ensure-lane.ts'
import { arriveInLanes, insertWrites, type LaneArrival, type NewWrite } from '../queue/insert-writes.ts'
import { findBusyRecords, lockOrder, recordText } from '../queue/record-order.ts'
import type { Wakeup } from '../wakeups/wakeups.ts'

/** A write on its way in: its row, and the key of the lane that it joins. */
export interface IncomingWrite {
  write: Omit<NewWrite, 'laneId' | 'blocked'>
  lane: LaneKey
}

/** Sets wake-ups in a transaction. */
type Nudge = (tx: Tx, wakeups: Wakeup[]) => Promise<void>

/** Options of {@link createGroupCommit}. */
export interface GroupCommitOptions {
  sql: Sql
  nudge: Nudge
}

/** Most writes of one commit: large enough that the commit itself costs nothing, small enough to be quick. */
const MAX_ROWS = 1_000
const MAX_BYTES = 4 * 1024 * 1024
/** Lanes whose ids this process remembers. */
const MAX_KNOWN_LANES = 20_000

/** Commits writes in shared transactions; `add` resolves once the write is durable. */
export function createGroupCommit(options: GroupCommitOptions): GroupBuffer<IncomingWrite> {
  const lanes = createLaneIds(options.sql)
  return createGroupBuffer<IncomingWrite>({
    maxItems: MAX_ROWS,
    maxBytes: MAX_BYTES,
    bytesOf: (item) => item.write.bytes,
    // Not when the database is away: every half would fail like the whole.
    worthSplitting: (error) => !isWritebackError(error) && databaseErrorKind(error) === 'bug',
    flush: async (items) => {
      const writes = await assignLanes(lanes, items)
      try {
        await commit(options, writes)
      } catch (error) {
        if (!(error instanceof LaneGone) && databaseErrorKind(error) !== 'retry') throw error
        // A lane was removed since we learnt its id, or two commits met in a deadlock: once more, from the start.
        lanes.forget()
        await commit(options, await assignLanes(lanes, items))
      }
    },
  })
}

class LaneGone extends WritebackError {
  constructor() {
    super('INTERNAL', 'A lane was removed while writes were added to it.')
  }
}

async function assignLanes(lanes: LaneIds, items: IncomingWrite[]): Promise<NewWrite[]> {
  const writes: NewWrite[] = []
  for (const { write, lane } of items) {
    const known = lanes.known(lane)
    writes.push({ ...write, blocked: false, laneId: known ?? (await lanes.find(lane)) })
  }
  return writes
}

/** One transaction for the group: order kept, lanes counted up, rows inserted, wake-ups set. */
async function commit(options: GroupCommitOptions, incoming: NewWrite[]): Promise<void> {
  await options.sql.begin(async (tx) => {
    const writes = await inOrder(tx, incoming)
    // What is blocked is counted in its lane once its turn has come.
    const arrivals = arrivalsOf(writes.filter((write) => !write.blocked))
    // Sent together, run in this order: the lanes are locked before the writes take their numbers.
    const [lanes] = await Promise.all([arriveInLanes(tx, arrivals), insertWrites(tx, writes)])
    if (lanes.length !== arrivals.length) throw new LaneGone()
    await options.nudge(
      tx,
      lanes.filter((lane) => lane.dueSooner).map((lane) => ({ ...lane, at: lane.dueAt })),
    )
  })
}

/** Blocks each write that has an unfinished earlier one to its record, in the database or in this group. */
async function inOrder(tx: Tx, writes: NewWrite[]): Promise<NewWrite[]> {
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
