import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { concurrently } from '../support/service.ts'
import { expectLanesTrue } from '../support/queue-fixture.ts'
import { waitUntil } from '../support/wait-until.ts'
import { startOwnDatabase, type OwnDatabase } from './own-database.ts'
import { oneStory } from '../support/one-story.ts'

/** Short, so that the database can be away for longer. */
const LEASE_SECONDS = 3

let service: OwnDatabase

beforeAll(async () => {
  service = await startOwnDatabase({ leaseSeconds: LEASE_SECONDS })
})
afterAll(() => service.stop())

interface Said {
  operationId?: string
  code?: string
  result?: { success: boolean; recordId?: string }
}

let names = 0
const nextName = (): string => `Outage ${(names += 1)}`

const contactsNamed = (name: string): number =>
  service.simulator.org.records('Contact').filter((record) => record['LastName'] === name).length

/** Writes without a pause until it is told to stop; keeps what was acknowledged, and what came in its place. */
function load(width: number) {
  const acknowledged = new Map<string, string>()
  const written: string[] = []
  const refused: { status: number; code: string | undefined; retryAfter: string | null }[] = []
  let isOver = false
  const post = async (mode: 'asynchronous' | 'synchronous'): Promise<void> => {
    const name = nextName()
    const { status, headers, body } = await service.tenant.post<Said>('Contact', {
      type: 'create',
      mode,
      record: { LastName: name },
    })
    if (status !== 200) refused.push({ status, code: body.code, retryAfter: headers.get('retry-after') })
    else if (mode === 'asynchronous') acknowledged.set(body.operationId!, name)
    else written.push(name)
  }
  const writer = async (index: number): Promise<void> => {
    while (!isOver) {
      await post(index === 0 ? 'synchronous' : 'asynchronous')
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  const running = Promise.all(Array.from({ length: width }, (_, index) => writer(index)))
  return {
    acknowledged,
    written,
    refused,
    reach: async (count: number): Promise<void> => {
      const before = acknowledged.size
      await waitUntil(() => acknowledged.size >= before + count, {
        timeoutMs: 20_000,
        what: `${count} further acknowledged writes`,
      })
    },
    stop: async (): Promise<void> => {
      isOver = true
      await running
    },
  }
}

describe('a database that is killed under load', oneStory, () => {
  it('loses no acknowledged write and doubles none, and everything goes on by itself', async () => {
    const { tenant, simulator, sql } = service
    const writes = load(6)
    await writes.reach(30)
    // Calls of the queue are under way at the org, and their answers will find no database.
    const gate = simulator.org.faults.hold({ operation: 'collections.create' }, 'after')
    // of which one at most is the synchronous writer's
    await gate.waitForArrivals(2)
    const killedAt = performance.now()
    await service.kill()
    await waitUntil(() => writes.refused.length > 20, { timeoutMs: 10_000, what: 'refusals' })
    gate.release()
    await waitUntil(() => performance.now() > killedAt + LEASE_SECONDS * 1000 + 500, {
      timeoutMs: 10_000,
      what: 'every lease to have run out',
    })
    await service.restart()
    await writes.reach(30)
    await writes.stop()
    for (const { status, code, retryAfter } of writes.refused) {
      expect([status, code]).toEqual([503, 'DATABASE_UNAVAILABLE'])
      expect(Number(retryAfter)).toBeGreaterThan(0)
    }
    const ended = await concurrently([...writes.acknowledged], 50, async ([id, name]) => ({
      name,
      state: (await tenant.operation(id)).metadata.state,
    }))
    expect(ended.filter(({ state }) => state !== 'succeeded')).toEqual([])
    const miscounted = [...writes.acknowledged.values(), ...writes.written].filter(
      (name) => contactsNamed(name) !== 1,
    )
    expect(miscounted).toEqual([])
    await waitUntil(async () => (await sql`select 1 from batch where state <> 'ended'`).length === 0, {
      timeoutMs: 10_000,
      what: 'every batch to be settled',
    })
    await expectLanesTrue(sql)
  })

  it('takes no call from the process that is still making it when the database is back', async () => {
    const { tenant, simulator, sql } = service
    const name = nextName()
    const gate = simulator.org.faults.hold({ operation: 'collections.create' }, 'after')
    const id = await tenant.write('Contact', { type: 'create', record: { LastName: name } })
    await gate.arrived
    const killedAt = performance.now()
    await service.kill()
    await waitUntil(() => performance.now() > killedAt + LEASE_SECONDS * 1000 + 500, {
      timeoutMs: 10_000,
      what: 'its lease to have run out',
    })
    await service.restart()
    const isKept = async (): Promise<boolean> =>
      (await sql`select 1 from batch where state = 'started' and lease_until > now()`).length === 1
    // whoever had lost it by then would have it taken within half a lease
    const backAt = performance.now()
    await waitUntil(() => performance.now() > backAt + LEASE_SECONDS * 750, {
      timeoutMs: 10_000,
      what: 'the time in which nobody is judged to be over',
    })
    expect(await isKept()).toBe(true)
    gate.release()
    const operation = await tenant.operation(id, 15)
    expect(operation.metadata).toMatchObject({ state: 'succeeded', retry: { attempts: 1 } })
    expect(contactsNamed(name)).toBe(1)
  })

  it('keeps no process from its end', async () => {
    const { tenant, app } = service
    const id = await tenant.write('Contact', {
      type: 'create',
      record: { LastName: nextName() },
      autoBatchPolicy: { maxDelayMinutes: 60 },
    })
    const waiting = tenant.operation(id, 60).then(
      () => 'answered',
      () => 'refused',
    )
    const path = `/v1/projects/${tenant.projectId}/operations/${id}`
    expect((await tenant.call('GET', path)).status).toBe(200)
    await service.kill()
    // A backend may still answer before it notices that its server is gone.
    await waitUntil(async () => (await tenant.call('GET', path)).status === 503, {
      timeoutMs: 10_000,
      what: 'the database to be gone for everybody',
    })
    const begun = performance.now()
    await app.stop(3_000)
    expect(performance.now() - begun).toBeLessThan(8_000)
    // Whoever waited for an outcome is let go as well.
    expect(await waiting).toBe('refused')
  })
})
