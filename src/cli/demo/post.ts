import type { Operation } from '../../contract/operation.ts'
import { concurrently, unexpected, type Call } from './client.ts'
import type { PlannedWrite } from './plan.ts'
import { keyField } from './records.ts'
import type { Tenant } from './tenant.ts'

/** Posts at once, and operations waited for at once: they end in about the order in which they were accepted. */
const WIDTH = 32
/** Seconds of one long poll. */
const WAIT_SECONDS = 20
/** Milliseconds without any write being accepted or ending, after which the rest is not waited for any more. */
const PATIENCE_MS = 60_000

/** What became of a write, as the service tells. */
export interface Outcome {
  operationId: string
  reference: string | null
  /** `queued` or `sending` when it had not ended by the time the demo gave up. */
  state: string
  /** Results that the operation names: one, once it has ended. */
  results: number
  recordId: string | null
  created: boolean | null
  errors: { code: string; message: string; fields: string[] }[]
  batchId: string | null
  /** Milliseconds from acceptance to outcome, by the service's own times. */
  elapsedMs: number
}

/** Counters that the progress line shows. */
export interface Counts {
  accepted: number
  ended: number
}

/** What posting needs. */
export interface Posting {
  call: Call
  tenant: Tenant
  writes: readonly PlannedWrite[]
  /** Ids of the held records, by their place. */
  heldIds: readonly string[]
  counts: Counts
}

/** Posts every write and waits for every outcome by long polls; answers in the order of the writes. */
export async function postAndFollow(
  posting: Posting,
): Promise<{ outcomes: Outcome[]; acceptMs: number; totalMs: number }> {
  const { call, tenant, counts } = posting
  const begun = performance.now()
  let movedAt = begun
  const moved = (what: keyof Counts): void => {
    counts[what] += 1
    movedAt = performance.now()
  }
  const accepted = posting.writes.map(() => Promise.withResolvers<string>())
  // An error of one post ends the whole; those who wait for the others' ids must not be unhandled.
  for (const { promise } of accepted) promise.catch(() => undefined)
  const posted = concurrently(posting.writes, WIDTH, async (write, index) => {
    accepted[index]?.resolve(await post(posting, write))
    moved('accepted')
  }).then(
    () => performance.now() - begun,
    (error: unknown) => {
      for (const { reject } of accepted) reject(error)
      throw error
    },
  )
  const followed = concurrently(accepted, WIDTH, async ({ promise }) => {
    const id = await promise
    for (;;) {
      const operation = await read(call, tenant, id)
      if (operation.status !== 'in_progress') moved('ended')
      else if (performance.now() - movedAt < PATIENCE_MS) continue
      return toOutcome(operation)
    }
  })
  const [acceptMs, outcomes] = await Promise.all([posted, followed])
  return { outcomes, acceptMs, totalMs: performance.now() - begun }
}

/** The path that writes of an object are posted to. */
export const writePath = (tenant: Pick<Tenant, 'projectId' | 'integrationId'>, object: string): string =>
  `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/objects/${object}`

/** The body of a write. */
export function writeBody(
  write: PlannedWrite,
  groupRef: string,
  heldIds: readonly string[],
): Record<string, unknown> {
  const id = write.nobody ?? (write.target === null ? undefined : heldIds[write.target])
  return {
    groupRef,
    type: write.type,
    mode: 'asynchronous',
    record: write.type === 'update' ? { id, ...write.record } : write.record,
    ...(write.type === 'upsert' ? { externalIdField: keyField } : {}),
    autoBatchPolicy: write.policy,
    reference: write.marker,
  }
}

async function post({ call, tenant, heldIds }: Posting, write: PlannedWrite): Promise<string> {
  const path = writePath(tenant, write.object)
  const answer = await call('POST', path, writeBody(write, tenant.groupRef, heldIds))
  if (answer.status !== 200) throw unexpected('POST', path, answer)
  return (answer.body as { operationId: string }).operationId
}

async function read(call: Call, tenant: Tenant, id: string): Promise<Operation> {
  const path = `/v1/projects/${tenant.projectId}/operations/${id}?wait=${WAIT_SECONDS}`
  const answer = await call('GET', path)
  if (answer.status !== 200) throw unexpected('GET', path, answer)
  return answer.body as Operation
}

function toOutcome({ id, metadata, createTime, updateTime }: Operation): Outcome {
  const [record] = metadata.records
  return {
    operationId: id,
    reference: metadata.reference ?? null,
    state: metadata.state,
    results: metadata.records.length,
    recordId: record?.recordId ?? null,
    created: record?.created ?? null,
    errors: record?.errors ?? [],
    batchId: metadata.batchId ?? null,
    elapsedMs: Date.parse(updateTime) - Date.parse(createTime),
  }
}
