import type { Sql, Tx } from '../db/connect.ts'
import { tally } from '../kernel/tally.ts'
import type { ProviderError } from '../model/outcome.ts'
import { findNextWrites, freeWrites, lockOrder, type WokenLane } from './record-order.ts'
import { findBehind } from './cancel-operation.ts'
import { endOperations } from './end-operations.ts'
import { lockLanes } from './hasten-heads.ts'
import { maybeWritten } from './maybe-written.ts'
import { announceEnded } from './outcome-channel.ts'

/** The installation of a lane, which never changes; null when the lane is not there. */
export async function readLaneInstallation(sql: Sql, laneId: string): Promise<string | null> {
  const [row] = await sql<{ installationId: string }[]>`
    select installation_id as "installationId" from lane where id = ${laneId}`
  return row?.installationId ?? null
}

/** Why a lane is put off. */
export type HoldReason = 'connection' | 'session' | 'quota' | 'limit' | 'concurrency'

/**
 * Puts off a lane that cannot be sent now: it is looked at again after `seconds`, unless it is due later
 * than that anyway. Its writes stay where they are, untouched, however many wait.
 *
 * @returns when the lane is due now; null when nothing waits in it
 */
export async function holdLane(
  tx: Tx,
  laneId: string,
  seconds: number,
  reason: HoldReason,
): Promise<Date | null> {
  const [row] = await tx<{ dueAt: Date }[]>`
    update lane set
      held_by = case when due_at < now() + make_interval(secs => ${seconds}) then ${reason} else held_by end,
      due_at = greatest(due_at, now() + make_interval(secs => ${seconds}))
    where id = ${laneId} and due_at is not null
    returning due_at as "dueAt"`
  return row?.dueAt ?? null
}

/** Writes that ended because their time was up. */
export interface Expired {
  ended: number
  inDoubt: number
  /** Those that failed, by the code of their first error. */
  failed: Record<string, number>
  /** What is due sooner now. */
  wake: WokenLane[]
}

/**
 * Ends writes of a held lane whose time is up, at most `limit`; call it again while it ends that many.
 * A write that was never tried has until it would have left, if that is later than its deadline. One
 * that an earlier try may have written is in doubt.
 */
export async function failExpired(
  tx: Tx,
  lane: { laneId: string; installationId: string },
  error: ProviderError,
  limit: number,
): Promise<Expired> {
  const { laneId, installationId } = lane
  await lockOrder(tx, [installationId])
  const due = await tx<{ id: string }[]>`
    select id from write
    where lane_id = ${laneId} and state = 'queued' and greatest(deadline_at, due_at) <= now()
      and id >= (select from_id from lane where id = ${laneId})
    order by available_at limit ${limit}`
  if (due.length === 0) return { ended: 0, inDoubt: 0, failed: {}, wake: [] }
  const ids = due.map((row) => row.id)
  const behind = await findBehind(tx, installationId, ids)
  // All at once and in one order: a claim locks several lanes too, and without the order lock.
  await lockLanes(tx, [laneId, ...behind.map((write) => write.laneId)])
  const ended = await tx<EndedRow[]>`
    with expired as materialized (
      select id, attempts, blocked from write where id = any (${ids}::uuid[]) and state = 'queued'
    ), counted as (
      update lane set waiting = waiting - (select count(*) from expired where attempts = 0 and not blocked) where id = ${laneId}
    )
    update write set
      state = case when lost_in is null then 'failed' else 'in_doubt' end,
      errors = case when lost_in is null or errors -> 0 ->> 'code' = ${maybeWritten.code} then '[]'
                    else ${tx.json([{ ...maybeWritten }])} end || coalesce(errors, ${tx.json([{ ...error }])}),
      ended_at = now(), updated_at = now()
    where id = any (array(select id from expired)) and state = 'queued'
    returning id, record_key, operation_id, state, errors -> 0 ->> 'code' as code`
  await announceEnded(tx, await endOperations(tx, ended))
  const keys = ended.flatMap((row) => row.record_key ?? [])
  const next = keys.length > 0 ? await findNextWrites(tx, installationId, keys) : []
  const wake = next.length > 0 ? await freeWrites(tx, next) : []
  return { ended: ended.length, ...countEnded(ended), wake }
}

function countEnded(ended: EndedRow[]): Pick<Expired, 'inDoubt' | 'failed'> {
  const failed = ended.filter(({ state }) => state !== 'in_doubt')
  return { inDoubt: ended.length - failed.length, failed: tally(failed.map(({ code }) => code)) }
}

interface EndedRow {
  id: string
  record_key: string | null
  operation_id: string | null
  state: 'failed' | 'in_doubt'
  code: string
}
