import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FaultAction } from '../../src/simulator/start.ts'
import { createTenant, type Answer, type Tenant } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'
import { startOwnDatabase, type OwnDatabase } from './own-database.ts'
import { oneStory } from '../support/one-story.ts'

let service: OwnDatabase
/** Set up, and never used before the database goes away. */
let stranger: Tenant

interface Said {
  operationId: string
  code?: string
  detail?: string
  errors?: { code: string }[]
  result?: { success: boolean; recordId?: string }
}

beforeAll(async () => {
  service = await startOwnDatabase({ providerTimeoutMs: 10_000 })
  stranger = await createTenant(service.app.url, service.simulator.url)
})
afterAll(() => service.stop())

const post = (body: Record<string, unknown>, headers: Record<string, string> = {}): Promise<Answer<Said>> =>
  service.tenant.post<Said>('Contact', body, { 'request-timeout': '5', ...headers })

const create = (LastName: string) => ({ type: 'create', record: { LastName } })

const named = (name: string) =>
  service.simulator.org.records('Contact').filter((record) => record['LastName'] === name)

const strike = (operation: string, action: FaultAction): void => {
  service.simulator.org.faults.add({ match: { operation }, action })
}

const recordedHeader = (answer: Answer): string | null => answer.headers.get('writeback-recorded')

/** Calls whose answer the database did not live to record. */
const orphans: { name: string; answer: Answer<Said> }[] = []
let recordId = ''

describe('a service and its database', oneStory, () => {
  describe('a database that goes away', () => {
    it('while the org works on a synchronous call does not keep its answer from the caller', async () => {
      const known = await post(create('Known'))
      expect([known.status, recordedHeader(known)]).toEqual([200, null])
      recordId = known.body.result!.recordId!
      const gate = service.simulator.org.faults.hold({ operation: 'collections.create' }, 'after')
      const calls = ['Orphan', 'Rejected'].map((name) =>
        post(name === 'Orphan' ? create(name) : { type: 'create', record: { FirstName: name } }),
      )
      await gate.waitForArrivals(2)
      await service.kill()
      gate.release()
      const [orphan, rejected] = (await Promise.all(calls)) as [Answer<Said>, Answer<Said>]
      expect(orphan).toMatchObject({ status: 200, body: { result: { success: true } } })
      expect(rejected).toMatchObject({ status: 422, body: { errors: [{ code: 'REQUIRED_FIELD_MISSING' }] } })
      expect([recordedHeader(orphan), recordedHeader(rejected)]).toEqual(['false', 'false'])
      orphans.push({ name: 'succeeded', answer: orphan }, { name: 'failed', answer: rejected })
    })
  })

  describe('with the database away', () => {
    it('an asynchronous call is refused at once, to be sent again', async () => {
      const begun = performance.now()
      const answers = await Promise.all(
        Array.from({ length: 100 }, () => post({ mode: 'asynchronous', ...create('Queued') })),
      )
      expect(performance.now() - begun).toBeLessThan(3_000)
      for (const { status, headers, body } of answers) {
        expect([status, body.code]).toEqual([503, 'DATABASE_UNAVAILABLE'])
        expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
      }
    })

    it('a synchronous call is made, and says that it is not recorded', async () => {
      const answer = await post(create('Unrecorded'))
      expect(answer).toMatchObject({ status: 200, body: { result: { success: true } } })
      expect(recordedHeader(answer)).toBe('false')
      expect(answer.body.operationId).toMatch(/^[0-9a-f-]{36}$/)
      expect(named('Unrecorded')).toHaveLength(1)
    })

    it('so is a batch', async () => {
      const batch = ['One of two', 'Two of two'].map((LastName) => ({ record: { LastName } }))
      const answer = await post({ type: 'create', batch })
      expect(answer).toMatchObject({ status: 200, body: { successCount: 2 } })
      expect(recordedHeader(answer)).toBe('false')
    })

    it('what the org refuses is told as ever', async () => {
      const answer = await post({ type: 'create', record: { FirstName: 'Nameless' } })
      expect(answer).toMatchObject({ status: 422, body: { errors: [{ code: 'REQUIRED_FIELD_MISSING' }] } })
      expect(recordedHeader(answer)).toBe('false')
    })

    it('what is safe to send again is, within the time', async () => {
      strike('collections.create', { type: 'recordError', canned: 'lockedRow' })
      const locked = await post(create('Locked once'))
      expect([locked.status, recordedHeader(locked)]).toEqual([200, 'false'])
      expect(named('Locked once')).toHaveLength(1)
      strike('collections.update', { type: 'dropAfter' })
      const update = await post({ type: 'update', record: { Id: recordId, FirstName: 'Twice' } })
      expect([update.status, recordedHeader(update)]).toEqual([200, 'false'])
    })

    it('a create whose answer was lost is not known to be made, and not made again', async () => {
      strike('collections.create', { type: 'dropAfter' })
      const answer = await post(create('Lost'))
      expect([answer.status, answer.body.code]).toEqual([502, 'OUTCOME_UNKNOWN'])
      expect(answer.body.operationId).toMatch(/^[0-9a-f-]{36}$/)
      expect(recordedHeader(answer)).toBe('false')
      expect(named('Lost')).toHaveLength(1)
    })

    it('nothing goes on with an update that had no answer in time', async () => {
      strike('collections.update', { type: 'hang', when: 'after' })
      const answer = await post(
        { type: 'update', record: { Id: recordId, FirstName: 'Late' } },
        { 'request-timeout': '1' },
      )
      expect([answer.status, answer.body.code]).toEqual([504, 'PROVIDER_TIMEOUT'])
      expect(answer.body.detail).toContain('nothing goes on')
      expect(recordedHeader(answer)).toBe('false')
    })

    it('a call with an idempotency key is refused, and nothing is sent', async () => {
      const answer = await post(create('Keyed'), { 'idempotency-key': 'away' })
      expect([answer.status, answer.body.code]).toEqual([503, 'DATABASE_UNAVAILABLE'])
      expect(answer.headers.get('retry-after')).not.toBeNull()
      expect(named('Keyed')).toHaveLength(0)
    })

    it('an installation that was never used before is not served', async () => {
      const answer = await stranger.post<Said>('Contact', create('Stranger'))
      expect([answer.status, answer.body.code]).toEqual([503, 'DATABASE_UNAVAILABLE'])
      expect(named('Stranger')).toHaveLength(0)
    })

    it('the process is alive, and not ready', async () => {
      expect((await fetch(`${service.app.url}/healthz`)).status).toBe(200)
      expect((await fetch(`${service.app.url}/readyz`)).status).toBe(503)
    })

    it('an expired session ends it: no new one could be saved', async () => {
      service.simulator.org.sessions.expireAll()
      const answer = await post(create('Expired'))
      expect([answer.status, answer.body.code]).toEqual([503, 'DATABASE_UNAVAILABLE'])
      expect(named('Expired')).toHaveLength(0)
    })
  })

  describe('a database that is back', () => {
    it('learns what was in hand, and takes everything again', async () => {
      await service.restart()
      await waitUntil(async () => (await fetch(`${service.app.url}/readyz`)).status === 200, {
        timeoutMs: 10_000,
        what: 'the service to have its database again',
      })
      for (const { name, answer } of orphans) {
        const operation = await service.tenant.operation(answer.body.operationId, 15)
        expect(operation.metadata.state).toBe(name)
      }
      expect(named('Orphan')).toHaveLength(1)
      const id = await service.tenant.write('Contact', create('Afterwards'))
      expect((await service.tenant.operation(id, 15)).metadata.state).toBe('succeeded')
      const answer = await post(create('Recorded again'), { 'idempotency-key': 'away' })
      expect([answer.status, recordedHeader(answer)]).toEqual([200, null])
      expect((await service.tenant.operation(answer.body.operationId, 0)).metadata.state).toBe('succeeded')
      const served = await stranger.post<Said>('Contact', create('Stranger'))
      expect(served.status).toBe(200)
      expect([...(await service.sql`select id from batch where state <> 'ended'`)]).toEqual([])
    })
  })

  describe('a database that comes and goes', () => {
    it('does not stop synchronous calls: the sessions in memory outlive it', async () => {
      const listening = async (): Promise<boolean> => {
        const rows = await service.sql`
        select from pg_stat_activity where datname = current_database() and query ilike 'listen %' and state = 'idle'`
        return rows.length > 0
      }
      for (const name of ['First gap', 'Second gap']) {
        await service.kill()
        await service.restart()
        // What was said meanwhile was missed, so the process holds nothing for certain any more.
        await waitUntil(listening, { timeoutMs: 10_000, what: 'the service to listen again' })
        await service.kill()
        const answer = await post(create(name))
        expect([answer.status, recordedHeader(answer)]).toEqual([200, 'false'])
        expect(named(name)).toHaveLength(1)
        await service.restart()
      }
    })
  })
})
