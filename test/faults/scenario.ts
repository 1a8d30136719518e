import { expect } from 'vitest'
import type { AppOptions } from '../../src/app.ts'
import type { Operation } from '../../src/contract/operation.ts'
import type { RequestEntry } from '../../src/simulator/start.ts'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import { concurrently, startService, type Service, type WriteSettings } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

/** A service whose database refuses illegal moves and whose sweeper looks often, with words to tell faults in. */
export interface Scenario extends Service {
  /** Posts writes that leave together, as the group of exactly these; their operations' ids in order. */
  group: (object: string, bodies: Record<string, unknown>[]) => Promise<string[]>
  /** The operations, once each has ended. */
  ended: (ids: string[]) => Promise<Operation[]>
  /** Waits until each of the writes has been in this many calls. */
  tried: (ids: string[], attempts: number) => Promise<void>
  /** Waits until a limit of the org has turned each of the writes away. */
  deferred: (ids: string[]) => Promise<void>
  /** Ends the backoff of whatever waits for another try, and every pause for a limit. */
  hurry: () => Promise<void>
  /** The groups that wrote this object, in order, whether they had a call of their own or shared one. */
  calls: (object: string) => RequestEntry[]
  /** The provider's answers as the operation's log tells them. */
  attempts: (id: string) => Promise<Record<string, unknown>[]>
  /** What must hold whenever nothing is in flight: every fault has struck, no batch is open, every lane is true. */
  expectSettled: () => Promise<void>
}

/** Each group has a call of its own unless told otherwise: a fault then strikes the group it is meant for. */
export async function startScenario(
  part: Partial<AppOptions> = {},
  settings: WriteSettings = { packing: 'none' },
  objects?: Record<string, unknown>,
): Promise<Scenario> {
  const service = await startService({ sweepMs: 100, ...part }, {}, objects, settings)
  const { tenant, simulator, database } = service
  const { sql } = database
  await refuseIllegalMoves(sql)
  return {
    ...service,
    group: (object, bodies) =>
      concurrently(bodies, 1, (body) =>
        tenant.write(object, {
          autoBatchPolicy: { maxDelayMinutes: 60, maxRecords: bodies.length },
          ...body,
        }),
      ),
    ended: async (ids) => {
      const operations = await concurrently(ids, 100, (id) => tenant.operation(id))
      expect(operations.filter((operation) => operation.status === 'in_progress')).toEqual([])
      return operations
    },
    tried: (ids, attempts) =>
      waitUntil(
        async () => {
          const [row] = await sql<{ count: number }[]>`
            select count(*)::int as count from write where id = any (${ids}::uuid[]) and attempts >= ${attempts}`
          return row!.count === ids.length
        },
        { timeoutMs: 10_000, what: `${ids.length} writes to have been tried ${attempts} times` },
      ),
    deferred: (ids) =>
      waitUntil(
        async () => {
          const [row] = await sql<{ count: number }[]>`
            select count(*)::int as count from write
            where id = any (${ids}::uuid[]) and deferrals > 0 and state = 'queued'`
          return row!.count === ids.length
        },
        { timeoutMs: 10_000, what: `${ids.length} writes to have been turned away` },
      ),
    hurry: async () => {
      await sql`update pacing set paused_until = null`
      await sql`update org_usage set blocked_at = null, blocked_until = null`
      // Lanes before writes, as everywhere: a claim may be under way.
      await sql.begin(async (tx) => {
        await tx`select from lane order by id for no key update`
        await tx`
          with again as (
            update write set available_at = now(), due_at = now() where state = 'queued' and errors is not null
            returning lane_id
          )
          update lane set due_at = now(), held_by = null from again where lane.id = again.lane_id`
      })
    },
    calls: (object) =>
      groupsOf(
        simulator.org.requests.list(() => true),
        object,
      ),
    attempts: async (id) => {
      const path = `/v1/projects/${tenant.projectId}/operations/${id}/logs`
      const { body } = await tenant.call<{ message: Record<string, unknown> }[]>('GET', path)
      return body.map((line) => line.message).filter((message) => message['msg'] === 'attempt')
    },
    expectSettled: async () => {
      expect(simulator.org.faults.list()).toEqual([])
      expect([...(await sql`select id from batch where state <> 'ended'`)]).toEqual([])
      await expectLanesTrue(sql)
    },
  }
}

const groupsOf = (entries: RequestEntry[], object: string): RequestEntry[] =>
  entries
    .flatMap((entry) => (entry.parts ?? [entry]).map((part): RequestEntry => ({ ...entry, ...part })))
    .filter((part) => part.operation.startsWith('collections.') && part.objects.includes(object))

/** Bodies of creates of Contacts and the like, by last name. */
export const creates = (...names: string[]): Record<string, unknown>[] =>
  names.map((LastName) => ({ type: 'create', record: { LastName } }))

/** Codes of the first record's errors. */
export const codes = (operation: Operation): string[] =>
  operation.metadata.records.flatMap((record) => record.errors.map((error) => error.code))
