import { expect } from 'vitest'
import type { Sql } from '../../src/db/connect.ts'
import { NOTIFICATION_CHANNEL } from '../../src/model/notification.ts'
import { caller, type Tenant } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

/** A destination as it was made. */
export interface Made {
  id: string
  name: string
  secret: string
}

/** A message in a destination's log. */
export interface Logged {
  id: string
  operationIds: string[]
  digest: boolean
  state: string
  attempts: number
  lastStatus?: number
  lastError?: string
  nextAttemptTime?: string
}

let names = 0

/** Makes a destination in a tenant's project, with the operator's key. */
export async function makeDestination(
  url: string,
  { projectId }: Tenant,
  hook: string,
  digest?: { maxRecords: number; maxDelaySeconds: number },
): Promise<Made> {
  names += 1
  const metadata = { url: hook, ...(digest !== undefined && { digest }) }
  const body = { name: `hook ${names}`, type: 'webhook', metadata }
  const answer = await caller(url)<Made>('POST', `/v1/projects/${projectId}/destinations`, body)
  expect(answer.status).toBe(201)
  return answer.body
}

/** The newest of a destination's log. */
export async function readLog({ call, projectId }: Tenant, { id }: Made): Promise<Logged[]> {
  const path = `/v1/projects/${projectId}/destinations/${id}/deliveries?pageSize=1000`
  return (await call<{ results: Logged[] }>('GET', path)).body.results
}

/** Waits until the log of a destination is as it is wanted. */
export async function logUntil(
  tenant: Tenant,
  made: Made,
  is: (log: Logged[]) => boolean,
  what = 'the log of a destination',
): Promise<Logged[]> {
  let log: Logged[] = []
  const look = async (): Promise<boolean> => is((log = await readLog(tenant, made)))
  await waitUntil(look, { timeoutMs: 20_000, what })
  return log
}

/** As if the time had come for all that waits to be tried again. */
export async function passTheTime(sql: Sql): Promise<void> {
  const due = await sql<{ id: string }[]>`
    update notification set due_at = now() where state = 'waiting' and claim_id is null
    returning destination_id as id`
  for (const id of new Set(due.map((row) => row.id)))
    await sql`select pg_notify(${NOTIFICATION_CHANNEL}, ${id})`
}
