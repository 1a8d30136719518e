import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApp, type App } from '../../src/app.ts'
import type { Operation } from '../../src/contract/operation.ts'
import { expectLanesTrue, refuseIllegalMoves } from '../support/queue-fixture.ts'
import {
  appOptions,
  caller,
  concurrently,
  createTenant,
  startService,
  type Service,
  type Tenant,
} from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

let service: Service
/** A second process, which learns of changes by their announcements. */
let elsewhere: App

beforeAll(async () => {
  service = await startService()
  await refuseIllegalMoves(service.database.sql)
  elsewhere = await startApp(appOptions(service.database.url, { role: 'api' }))
})
afterAll(async () => {
  await elsewhere.stop(5_000)
  await service.stop()
})

interface Installation {
  id: string
  config: { id: string; content: unknown }
  connection: { id: string }
}

const pathOf = ({ projectId, integrationId, installationId }: Tenant): string =>
  `/v1/projects/${projectId}/integrations/${integrationId}/installations/${installationId}`
const newTenant = (objects?: Record<string, unknown>) =>
  createTenant(service.app.url, service.simulator.url, objects)
const admin = <T = Installation>(method: string, path: string, body?: unknown) =>
  caller(service.app.url)<T>(method, path, body)

/** The write call by either process, with the operator's key. */
const post = (app: App, tenant: Tenant, body: Record<string, unknown>, object = 'Contact') =>
  caller(app.url)<{ operationId: string; code?: string }>(
    'POST',
    `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/objects/${object}`,
    { groupRef: tenant.groupRef, mode: 'asynchronous', ...body },
  )
const create = (LastName: string, more: object = {}) => ({ type: 'create', record: { LastName }, ...more })
const later = { autoBatchPolicy: { maxDelayMinutes: 600 } }
const withinASecond = { timeoutMs: 1_000, what: 'the change to be known' }
const codesOf = (operation: Operation): string[] =>
  operation.metadata.records.flatMap((record) => record.errors.map((error) => error.code))

describe('PATCH of an installation', () => {
  it('replaces the configuration within a second everywhere, under a new id', async () => {
    const tenant = await newTenant({ Contact: { objectName: 'Contact' } })
    const before = await tenant.write('Contact', create('Before', later))
    expect((await post(elsewhere, tenant, create('Held', later))).status).toBe(200)
    const { body: old } = await admin('GET', pathOf(tenant))
    const content = { provider: 'salesforce', write: { objects: { Lead: { objectName: 'Lead' } } } }
    const { status, body } = await admin('PATCH', pathOf(tenant), { config: { content } })
    expect([status, body.id, body.config.content]).toEqual([200, tenant.installationId, content])
    expect(body.config.id).not.toBe(old.config.id)
    // at once in the process that made the change
    expect((await post(service.app, tenant, create('Refused'))).status).toBe(403)
    const isRefused = async () => (await post(elsewhere, tenant, create('Refused', later))).status === 403
    await waitUntil(isRefused, withinASecond)
    const lead = { type: 'create', record: { LastName: 'L', Company: 'C' } }
    const made = await post(elsewhere, tenant, lead, 'Lead')
    expect((await tenant.operation(made.body.operationId)).configId).toBe(body.config.id)
    expect((await tenant.operation(before, 0)).configId).toBe(old.config.id)
    expect((await admin('GET', pathOf(tenant))).body).toEqual(body)
  })

  it('to another connection sends at once what waited for the broken one', async () => {
    const tenant = await newTenant()
    const { sql } = service.database
    await sql`update connection set status = 'broken', status_reason = 'revoked' where id = ${tenant.connectionId}`
    const id = await tenant.write('Contact', create('Reconnected'))
    const isHeld = async () => {
      const rows = await sql`
        select from lane where installation_id = ${tenant.installationId} and held_by = 'connection'`
      return rows.length > 0
    }
    await waitUntil(isHeld, { timeoutMs: 10_000, what: 'the lane to be held' })
    const base = `/v1/projects/${tenant.projectId}`
    const { body: connection } = await admin<{ id: string }>('POST', `${base}/connections`, {
      groupRef: tenant.groupRef,
      provider: 'salesforce',
      credentials: {
        type: 'oauth2-client-credentials',
        clientId: 'writeback-demo',
        clientSecret: 'demo-secret',
        loginUrl: service.simulator.url,
      },
    })
    const { status, body } = await admin('PATCH', pathOf(tenant), { connectionId: connection.id })
    expect([status, body]).toMatchObject([
      200,
      { connection: { id: connection.id, status: 'working' }, healthStatus: 'healthy' },
    ])
    // a lane that is held for a broken connection is looked at every 15 s
    expect((await tenant.operation(id, 8)).metadata.state).toBe('succeeded')
  })
})

describe('DELETE of an installation', () => {
  it('ends what waits with the reason, lets finish what is being sent, and accepts nothing more', async () => {
    const tenant = await newTenant()
    const other = await newTenant()
    const { simulator } = service
    const { body: made } = await tenant.post<{ result: { recordId: string } }>('Contact', create('First'))
    const Id = made.result.recordId
    const gate = simulator.org.faults.hold({ operation: 'collections.update' })
    const update = (LastName: string) => ({ type: 'update', record: { Id, LastName } })
    const sent = await tenant.write('Contact', update('Sent'))
    await gate.waitForArrivals(1)
    const behind = await tenant.write('Contact', update('Behind'))
    const waiting = await tenant.write('Contact', create('Waiting', later))
    const batch = await tenant.write('Contact', {
      type: 'update',
      batch: [{ record: { Id, LastName: 'B' } }],
    })
    const others = await other.write('Contact', create('Other', later))
    // so that the second process holds what it has to forget
    expect((await post(elsewhere, tenant, create('Held', later))).status).toBe(200)
    const answer = await admin('DELETE', pathOf(tenant))
    expect([answer.status, answer.body]).toEqual([204, null])
    for (const id of [behind, waiting, batch]) {
      const operation = await tenant.operation(id, 0)
      expect([operation.status, operation.metadata.state]).toEqual(['failure', 'cancelled'])
      expect(codesOf(operation)).toEqual(['INSTALLATION_DELETED'])
    }
    expect((await tenant.operation(sent, 0)).metadata.state).toBe('sending')
    gate.release()
    expect((await tenant.operation(sent)).metadata.state).toBe('succeeded')
    expect(simulator.org.find('Contact', 'LastName', 'Sent')).toHaveLength(1)
    expect((await other.operation(others, 0)).metadata.state).toBe('queued')
    const known = async () => (await post(elsewhere, tenant, create('Late', later))).status === 404
    await waitUntil(known, withinASecond)
    expect((await post(service.app, tenant, create('Late'))).status).toBe(404)
    expect((await admin('GET', pathOf(tenant))).status).toBe(404)
    expect((await admin('DELETE', pathOf(tenant))).status).toBe(404)
    const logs = `/v1/projects/${tenant.projectId}/operations/${waiting}/logs`
    expect(JSON.stringify((await tenant.call('GET', logs)).body)).toContain('INSTALLATION_DELETED')
    await expectLanesTrue(service.database.sql)
  })

  it('leaves nothing waiting of what two processes accepted while it was made', async () => {
    const tenant = await newTenant()
    const { sql } = service.database
    const numbers = Array.from({ length: 95 }, (_, index) => index)
    const answers = await concurrently(numbers, 12, async (index) => {
      if (index === 40) return admin<{ operationId: string }>('DELETE', pathOf(tenant))
      return post(index % 2 === 0 ? service.app : elsewhere, tenant, create(`Race ${index}`, later))
    })
    expect(answers[40]!.status).toBe(204)
    const statuses = answers.map(({ status }) => status)
    expect(new Set(statuses)).toEqual(new Set([200, 204, 404]))
    const isDone = async (): Promise<boolean> => {
      const rows = await sql`
        select from write where installation_id = ${tenant.installationId} and state = 'queued'`
      return rows.length === 0
    }
    await waitUntil(isDone, { timeoutMs: 10_000, what: 'all of them to be ended' })
    const accepted = answers.flatMap(({ status, body }) => (status === 200 ? body.operationId : []))
    for (const id of accepted) {
      const operation = await tenant.operation(id, 0)
      expect([operation.metadata.state, codesOf(operation)]).toEqual(['cancelled', ['INSTALLATION_DELETED']])
    }
    await expectLanesTrue(sql)
  })

  it('leaves the sweeps what came back later, and the group free to be installed anew', async () => {
    const tenant = await newTenant()
    const failed = await tenant.write('Contact', { type: 'create', record: {} })
    expect((await tenant.operation(failed)).metadata.state).toBe('failed')
    await admin('DELETE', pathOf(tenant))
    // what is sent again by hand meets the deletion too
    await tenant.call('POST', `/v1/projects/${tenant.projectId}/operations/${failed}:retry`)
    const again = await tenant.operation(failed, 10)
    expect([again.metadata.state, codesOf(again)[0]]).toEqual(['cancelled', 'INSTALLATION_DELETED'])
    const content = { provider: 'salesforce', write: {} }
    const installations = pathOf(tenant).slice(0, pathOf(tenant).lastIndexOf('/'))
    const { status, body } = await admin('POST', installations, {
      groupRef: tenant.groupRef,
      config: { content },
    })
    expect([status, body.id === tenant.installationId]).toEqual([201, false])
    const id = await tenant.write('Contact', create('Anew'))
    const operation = await tenant.operation(id)
    expect([operation.metadata.state, operation.installationId]).toEqual(['succeeded', body.id])
  })
})
