import type { Sql, Tx } from '../db/connect.ts'
import { databaseErrorKind } from '../db/pg-errors.ts'
import { BY_HAND, type Telemetry } from '../kernel/telemetry.ts'
import {
  movedByHand,
  type HandMove,
  type HandRequest,
  type HandResult,
  type Resolution,
} from '../model/by-hand.ts'
import { operationStateOf } from '../model/operation.ts'
import type { WriteState } from '../model/write.ts'
import { cancelWrites, findBehind } from './cancel-operation.ts'
import { lockLanes } from './hasten-heads.ts'
import { maybeWritten } from './maybe-written.ts'
import { announceEnded } from './outcome-channel.ts'
import { lockOrder, type NextWrite, type WokenLane } from './record-order.ts'
import { resolveWrites } from './resolve-operation.ts'
import { retryWrites } from './retry-operation.ts'

/** What moving operations by hand needs. */
export interface OperateOptions {
  sql: Sql
  /** Sets the wake-up of lanes in the transaction that makes them due sooner. */
  nudge: (tx: Tx, wakeups: WokenLane[]) => Promise<void>
  /** Is told of what ended. */
  telemetry?: Pick<Telemetry, 'ended'>
}

/** Operations by hand (contract section 7): each call is one transaction, and one guarded move of all that it moves. */
export interface Operate {
  /** Ends what is still queued. */
  cancel: (request: HandRequest) => Promise<HandResult>
  /** Sends what failed or is in doubt again. */
  retry: (request: HandRequest) => Promise<HandResult>
  /** Settles what is in doubt. */
  resolve: (request: HandRequest, resolution: Resolution) => Promise<HandResult>
}

/** The moves by hand on this database. */
export function createOperate(options: OperateOptions): Operate {
  const run = async (
    request: HandRequest,
    move: HandMove,
    resolution: Resolution | null,
  ): Promise<HandResult> => {
    const asked = { ...request, move, resolution }
    const once = () => options.sql.begin((tx) => moveByHand(tx, options, asked))
    const result = await once().catch((error: unknown) => {
      // Two transactions met in a deadlock, and this one gave way.
      if (databaseErrorKind(error) === 'retry') return once()
      throw error
    })
    if (!('made' in result)) return result
    reportMade(options, asked, result.made)
    return { kind: 'moved' }
  }
  return {
    cancel: (request) => run(request, 'cancel', null),
    retry: (request) => run(request, 'retry', null),
    resolve: (request, resolution) => run(request, 'resolve', resolution),
  }
}

interface Asked extends HandRequest {
  move: HandMove
  resolution: Resolution | null
}

/** A move that was made: of the writes that it moved, those that are in doubt although they were cancelled. */
interface Made {
  moved: number
  inDoubt: number
}

/** Tells of what ended by it. */
function reportMade(
  { telemetry }: OperateOptions,
  { move, resolution }: Asked,
  { moved, inDoubt }: Made,
): void {
  if (move === 'cancel') {
    telemetry?.ended('cancelled', 'CANCELLED', moved - inDoubt)
    telemetry?.ended('in_doubt', maybeWritten.code, inDoubt)
  }
  if (resolution !== null) telemetry?.ended(resolution.success ? 'succeeded' : 'failed', BY_HAND, moved)
}

/**
 * Order lock, then lanes, then the look at the writes: whoever else takes a write out of the queue or
 * puts an ended one back holds the lane too, so what was seen still holds when it is moved.
 */
async function moveByHand(
  tx: Tx,
  { nudge }: OperateOptions,
  asked: Asked,
): Promise<Exclude<HandResult, { kind: 'moved' }> | { made: Made }> {
  const operation = await findOperation(tx, asked)
  if (operation === null) return { kind: 'not_found' }
  const { id, installationId, laneId, members, allOrNone } = operation
  await lockOrder(tx, [installationId])
  const behind = asked.move === 'cancel' ? await findBehind(tx, installationId, members) : []
  await lockLanes(tx, [laneId, ...behind.map((write) => write.laneId)])
  const records = await readStates(tx, members)
  const writeIds = movedByHand(asked.move, records, allOrNone)
  if (writeIds.length === 0)
    return { kind: 'refused', state: operationStateOf(records.map((record) => record.state)) }
  if (writeIds.length > 1 && typeof asked.resolution?.recordId === 'string')
    return { kind: 'several', count: writeIds.length }
  const { moved, inDoubt, wake } = await makeMove(tx, asked, operation, writeIds, behind)
  if (moved !== writeIds.length)
    throw new Error(`${asked.move} was to move ${writeIds.length} writes and moved ${moved}`)
  await keep(tx, id, asked, moved)
  await nudge(tx, wake)
  if (asked.move !== 'retry') await announceEnded(tx, [id])
  return { made: { moved, inDoubt } }
}

async function makeMove(
  tx: Tx,
  { move, resolution }: Asked,
  { id: operationId, laneId, installationId }: FoundOperation,
  writeIds: string[],
  behind: NextWrite[],
): Promise<Made & { wake: WokenLane[] }> {
  if (move === 'cancel') return cancelWrites(tx, laneId, writeIds, behind)
  if (move === 'retry')
    return { inDoubt: 0, ...(await retryWrites(tx, { operationId, laneId, installationId, writeIds })) }
  if (resolution === null) throw new TypeError('Nothing is said of what is to be resolved.')
  // What is in doubt has ended already: nothing waits for it, and no lane counts it.
  return { ...(await resolveWrites(tx, writeIds, resolution)), inDoubt: 0, wake: [] }
}

/** What never changes of an operation. */
interface FoundOperation {
  id: string
  installationId: string
  laneId: string
  /** Its writes, by the caller's positions. */
  members: string[]
  allOrNone: boolean
}

/** A write of its own or a caller-built batch; the writes of a batch are no operations by themselves. */
async function findOperation(
  tx: Tx,
  { projectId, operationId }: HandRequest,
): Promise<FoundOperation | null> {
  const [found] = await tx<FoundOperation[]>`
    select w.id, w.installation_id as "installationId", l.id as "laneId", array[w.id] as members,
      l.all_or_none as "allOrNone"
    from write w join lane l on l.id = w.lane_id
    where w.id = ${operationId} and w.project_id = ${projectId} and w.operation_id is null
    union all
    select o.id, o.installation_id, l.id, o.members, o.all_or_none
    from operation o join write w on w.id = o.members[1] join lane l on l.id = w.lane_id
    where o.id = ${operationId} and o.project_id = ${projectId}`
  return found ?? null
}

const readStates = (tx: Tx, writeIds: string[]): Promise<{ id: string; state: WriteState }[]> =>
  tx<{ id: string; state: WriteState }[]>`select id, state from write where id = any (${writeIds}::uuid[])`

/** For the operation's log. */
const keep = (tx: Tx, operationId: string, { move, keyId, resolution }: Asked, records: number) => tx`
  insert into hand (operation_id, number, move, key_id, records, success, record_id)
  select ${operationId}, count(*) + 1, ${move}, ${keyId}, ${records}, ${resolution?.success ?? null},
    ${resolution?.recordId ?? null}
  from hand where operation_id = ${operationId}`
