import type { Tx } from '../db/connect.ts'
import { newId } from '../kernel/ids.ts'
import { areInteractions } from '../model/engagement.ts'
import type { Packing } from '../model/object-entry.ts'
import { MAX_PACKED } from '../model/write.ts'
import { claimBatch, lockForClaim, type ClaimedBatch, type ClaimResult } from './claim-batch.ts'
import { joinMerged } from './merge-waiting.ts'
import { holdLane } from './hold-lane.ts'
import { readPace, type Pace } from './read-pace.ts'
import type { WokenLane } from './record-order.ts'

/** What a call takes and for whom. */
export interface CallRequest {
  /** The lane that was woken. */
  laneId: string
  installationId: string
  /** What the org is known by, for its limits. */
  org: string
  packing: Packing
  apiBudgetPercent: number
  /** Calls that the installation may have in flight at once. */
  maxConcurrency: number
  worker: string
  leaseSeconds: number
  /** Bytes of records of one group. */
  maxBytes: number
}

/** The groups of one call, or what keeps it from being made. */
export interface ClaimedCall {
  callId: string
  /** Empty when nothing was ready, or nothing may leave. */
  batches: ClaimedBatch[]
  /** Why nothing may leave now; null when something may. */
  held: Exclude<Pace, { go: true }> | null
  /** When each lane that was looked at must be looked at next. */
  wake: WokenLane[]
  /** Whether more of what was looked at is ready at once. */
  readyAgain: boolean
}

interface Candidate {
  id: string
  /** The provider's name of the object. */
  object: string
  due: boolean
  at: Date
}

/**
 * Claims what one provider call is to carry (design, Batching): the next group of the lane that was
 * woken, then groups of other lanes of its installation that are due, then further groups of these, then
 * as riders what waits in lanes that are not due yet. At most {@link MAX_PACKED} groups.
 *
 * Claims of one installation come one after the other, under a lock of their own: only so can the calls
 * in flight be counted, groups that are ready together be found by one of the workers that are woken for
 * each of them, and children of one parent be kept out of a second call.
 */
export async function claimCall(tx: Tx, request: CallRequest): Promise<ClaimedCall> {
  const { installationId } = request
  const callId = newId()
  // Sent together, run in this order (all are async functions: a bare statement of the driver's is not sent
  // before it is awaited): each statement sees what was committed before the lock was had.
  const [, heldParents, candidates] = await Promise.all([
    lockClaims(tx, installationId),
    findHeldParents(tx, installationId),
    findCandidates(tx, request),
  ])
  // Nothing is due: not worth asking, since being let through may be the one call that tries a limit.
  if (!candidates.some((lane) => lane.due && (lane.id === request.laneId || !isAlone(lane))))
    return nothing(callId, wakeOf(request, candidates))
  const pace = await readPace(tx, {
    installationId,
    org: request.org,
    maxConcurrency: request.maxConcurrency,
    budgetPercent: request.apiBudgetPercent,
  })
  if (!pace.go) {
    // In this transaction: who lifts the limit waits for it, and so sees the lane that it put off.
    const at = await holdLane(tx, request.laneId, pace.seconds, pace.reason)
    return {
      ...nothing(callId, at === null ? [] : [{ laneId: request.laneId, installationId, at }]),
      held: pace,
    }
  }
  const { due, riders } = choose(request, candidates)
  const claims = new CallClaims(tx, { ...request, callId, heldParents })
  const [, first] = await Promise.all([lockForClaim(tx, [...due, ...riders]), claims.claim(due)])
  if (claims.batches.length > 0 && packingOf(request, candidates) !== 'none') {
    await claims.claim(claims.spread(first))
    if (request.packing === 'riders') await claims.claim(riders.slice(0, claims.free), true)
  }
  for (const batch of claims.batches) if (batch.merge) await joinMerged(tx, batch)
  return { callId, batches: claims.batches, held: null, wake: claims.wake(), readyAgain: claims.readyAgain() }
}

/**
 * A claim's commit does not wait for the disk, so that those who wait for its lanes have them sooner. Nothing
 * has left by then: a call is sent only once its start is committed, which is durable and after it. Lost with
 * the database, a claim was never made.
 */
async function lockClaims(tx: Tx, installationId: string): Promise<void> {
  await tx`
    select set_config('synchronous_commit', 'off', true),
      pg_advisory_xact_lock(hashtextextended('writeback.claims.' || ${installationId}::text, 0))`
}

/** What the calls in flight lock at the provider. */
async function findHeldParents(tx: Tx, installationId: string): Promise<string[]> {
  const [row] = await tx<{ held: string[] }[]>`
    select array(
      select distinct parent from batch b, unnest(b.parents) as parent
      where b.installation_id = ${installationId} and b.state <> 'ended'
    ) as held`
  return row?.held ?? []
}

/** The lane that was woken, then lanes that are due, the longest overdue first, then those that are due next. */
async function findCandidates(tx: Tx, request: CallRequest): Promise<Candidate[]> {
  return await tx<Candidate[]>`
    select id, object, due_at <= statement_timestamp() as due, due_at as at from (
      select id, object_name as object, due_at from lane where id = ${request.laneId} and due_at is not null
      union
      (select id, object_name, due_at from lane
       where installation_id = ${request.installationId} and due_at is not null
         and (due_at <= statement_timestamp() or (waiting > 0 and held_by is null))
       order by due_at limit ${2 * MAX_PACKED})
    ) near
    order by id <> ${request.laneId}, due_at`
}

/** The lanes whose groups may go. */
function choose(request: CallRequest, candidates: Candidate[]): { due: string[]; riders: string[] } {
  if (packingOf(request, candidates) === 'none') return { due: [request.laneId], riders: [] }
  const packable = candidates.filter((lane) => !isAlone(lane))
  const due = packable.filter((lane) => lane.due).map((lane) => lane.id)
  const riders =
    request.packing === 'riders' ? packable.filter((lane) => !lane.due).map((lane) => lane.id) : []
  return { due: due.slice(0, MAX_PACKED), riders: riders.slice(0, MAX_PACKED - 1) }
}

/** Interactions share a call with nothing else (facts 4): a lane of theirs is claimed from when it is woken itself. */
const isAlone = ({ object }: Candidate): boolean => areInteractions({ objectName: object })

const packingOf = ({ packing, laneId }: CallRequest, candidates: Candidate[]): Packing =>
  candidates.some((lane) => lane.id === laneId && isAlone(lane)) ? 'none' : packing

const nothing = (callId: string, wake: WokenLane[]): ClaimedCall => ({
  callId,
  batches: [],
  held: null,
  wake,
  readyAgain: false,
})

/** The wake-up that was taken for a lane that is not due yet is owed to it. */
const wakeOf = ({ laneId, installationId }: CallRequest, candidates: Candidate[]): WokenLane[] =>
  candidates.filter((lane) => lane.id === laneId).map(({ at }) => ({ laneId, installationId, at }))

interface ClaimSettings extends CallRequest {
  callId: string
  heldParents: string[]
}

/** The claims of one call, as they are made. */
class CallClaims {
  readonly #tx: Tx
  readonly #settings: ClaimSettings
  /** The last word of each lane. */
  readonly #lanes = new Map<string, ClaimResult>()
  readonly batches: ClaimedBatch[] = []

  constructor(tx: Tx, settings: ClaimSettings) {
    this.#tx = tx
    this.#settings = settings
  }

  /** Places that are left in the call. */
  get free(): number {
    return MAX_PACKED - this.batches.length
  }

  /** Claims a group of each lane, in one round trip; a lane may be named more than once. */
  async claim(laneIds: string[], rides = false): Promise<ClaimResult[]> {
    const { callId, worker, leaseSeconds, maxBytes, heldParents } = this.#settings
    const results = await Promise.all(
      laneIds.map((laneId) =>
        claimBatch(this.#tx, {
          laneId,
          batchId: newId(),
          callId,
          worker,
          leaseSeconds,
          maxBytes,
          rides,
          heldParents,
          synchronous: false,
        }),
      ),
    )
    results.forEach((result, index) => {
      this.#lanes.set(laneIds[index] ?? '', result)
      if (result.batch !== null)
        this.batches.push(rides ? { ...result.batch, leftAs: 'rider' } : result.batch)
    })
    return results
  }

  /** The lanes among these that have another group ready, dealt out over the places that are left. */
  spread(claimed: ClaimResult[]): string[] {
    const again = claimed.flatMap((result) => (result.readyAgain && result.batch ? result.batch.laneId : []))
    if (again.length === 0) return []
    return Array.from({ length: this.free }, (_, place) => again[place % again.length] ?? '')
  }

  wake(): WokenLane[] {
    return [...this.#lanes].flatMap(([laneId, { nextDueAt, installationId }]) =>
      nextDueAt === null || installationId === null ? [] : { laneId, installationId, at: nextDueAt },
    )
  }

  readyAgain(): boolean {
    return [...this.#lanes.values()].some((result) => result.readyAgain)
  }
}
