import { setTimeout as delay } from 'node:timers/promises'
import { writePath } from '../../src/cli/demo/post.ts'
import type { Call } from '../../src/cli/demo/client.ts'
import { messageOf } from '../../src/kernel/errors.ts'
import { withoutAnswer, type Entry } from './ledger.ts'
import { externalIdField, type PlannedCall, type PlannedItem } from './plan-load.ts'
import type { Project } from './parts.ts'
import { readAnswer } from './read-answer.ts'

/** Milliseconds after which a client gives up waiting for an answer. */
const PATIENCE_MS = 60_000
/** Milliseconds between two looks for a process that is up. */
const LOOK_MS = 50
/** `Request-Timeout` of synchronous calls, in seconds. */
const SYNCHRONOUS_SECONDS = 10
/**
 * Milliseconds that a client waits after a broken connection. What the process had begun, its database may
 * still commit without it for a moment, and so after the client's next write: nobody promises an order then.
 */
const SETTLE_MS = 1_000

/** What the clients need. */
export interface LoadOptions {
  clients: readonly (readonly PlannedCall[])[]
  project: Project
  /** Ids of the held records, by the names of their subjects. */
  ids: ReadonlyMap<string, string>
  parentIds: readonly string[]
  /** Calls a process that is up, this one if it is; null when none is. */
  api: (preferred: number) => Call | null
  /** Aborted when the load's time is over: calls that are not made by then are left out. */
  over: AbortSignal
  /** Gets every entry as it comes to be. */
  onEntries: (entries: Entry[]) => void
}

/** Runs every client to its end; resolves with all entries, each client's in the order of its calls. */
export async function runLoad(options: LoadOptions): Promise<Entry[]> {
  const begun = performance.now()
  const all = await Promise.all(options.clients.map((calls) => runClient(options, calls, begun)))
  return all.flat()
}

async function runClient(
  options: LoadOptions,
  calls: readonly PlannedCall[],
  begun: number,
): Promise<Entry[]> {
  const entries: Entry[] = []
  for (const call of calls) {
    const wait = begun + call.at - performance.now()
    if (wait > 0) await delay(wait, undefined, { signal: options.over }).catch(() => undefined)
    if (options.over.aborted) break
    const made = await makeCall(options, call)
    entries.push(...made)
    options.onEntries(made)
    if (made[0]?.verdict === 'unknown') await delay(SETTLE_MS)
  }
  return entries
}

async function makeCall(options: LoadOptions, call: PlannedCall): Promise<Entry[]> {
  const api = await findApi(options, call.api)
  if (api === null) return withoutAnswer(call, 'unsent', 'no process was up')
  const path = writePath(options.project, call.object)
  const headers: Record<string, string> =
    call.mode === 'synchronous' ? { 'request-timeout': String(SYNCHRONOUS_SECONDS) } : {}
  const begun = performance.now()
  try {
    const body = bodyOf(options, call)
    return readAnswer(call, await api('POST', path, body, { headers, timeoutMs: PATIENCE_MS }))
  } catch (error) {
    const wasGivenUp = performance.now() - begun >= PATIENCE_MS
    return withoutAnswer(call, 'unknown', messageOf(error), wasGivenUp)
  }
}

/** Waits for a process that takes the call, as a balancer of load does. */
async function findApi({ api, over }: LoadOptions, preferred: number): Promise<Call | null> {
  for (;;) {
    const call = api(preferred)
    if (call !== null || over.aborted) return call
    await delay(LOOK_MS)
  }
}

/** The body of a write call (contract section 5). */
export function bodyOf(
  { ids, parentIds }: Pick<LoadOptions, 'ids' | 'parentIds'>,
  call: PlannedCall,
): Record<string, unknown> {
  const record = (item: PlannedItem): Record<string, unknown> => {
    const { subject, values, parent } = item
    const named =
      subject === null
        ? {}
        : subject.by === 'id'
          ? { Id: ids.get(subject.name) }
          : { [externalIdField]: subject.name }
    return { ...named, ...values, ...(parent === null ? {} : { AccountId: parentIds[parent] }) }
  }
  const [first] = call.items
  return {
    groupRef: call.groupRef,
    type: call.type,
    mode: call.mode,
    ...(call.type === 'upsert' ? { externalIdField } : {}),
    ...(call.isBatch || first === undefined
      ? { batch: call.items.map((item) => ({ record: record(item) })) }
      : { record: record(first) }),
    ...(call.policy === null ? {} : { [call.isBatch ? 'batchPolicy' : 'autoBatchPolicy']: call.policy }),
    ...(first === undefined ? {} : { reference: first.marker }),
  }
}
