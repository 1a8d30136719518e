import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startApp, type App } from '../../src/app.ts'
import type { OptionsAnswer } from '../../src/contract/floqer-options.ts'
import type { Problem } from '../../src/contract/problem.ts'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import {
  appOptions,
  caller,
  createServiceDatabase,
  createTenant,
  type Answer,
  type Tenant,
} from '../support/service.ts'
import type { TestDatabase } from '../support/database.ts'
import { waitUntil } from '../support/wait-until.ts'

let database: TestDatabase
let simulator: Simulator
/** Two processes on one database. */
let apps: [App, App]
let tenant: Tenant
beforeAll(async () => {
  database = await createServiceDatabase()
  simulator = await startSimulator()
  const options = appOptions(database.url, { encryptionKey: randomBytes(32) })
  apps = [await startApp(options), await startApp({ ...options, role: 'api' })]
  tenant = await createTenant(apps[0].url, simulator.url)
})
afterEach(() => {
  expect(simulator.org.faults.list()).toEqual([])
})
afterAll(async () => {
  for (const app of apps) await app.stop(5_000)
  await simulator.close()
  await database.drop()
})

type List = 'salesforce_object' | 'salesforce_external_id_field' | 'add_fields_and_their_values'

interface Asked {
  of?: Tenant
  app?: App
  headers?: Record<string, string>
}

function options<T = OptionsAnswer>(
  list: List,
  body: object = {},
  { of = tenant, app = apps[0], headers }: Asked = {},
): Promise<Answer<T>> {
  const path = `/v1/projects/${of.projectId}/integrations/${of.integrationId}/options/${list}`
  return caller(app.url)<T>('POST', path, { groupRef: of.groupRef, ...body }, headers)
}

const ofObject = (name: string) => ({ context: { salesforce_object: name } })
const valuesIn = ({ body }: Answer<OptionsAnswer>): string[] => body.options.map(({ value }) => value)
const describes = () =>
  simulator.org.requests.list(({ operation }) => operation.startsWith('describe')).map(({ path }) => path)

/** A tenant of its own, with a connection that nothing was read through yet. */
const freshTenant = (objects?: Record<string, unknown>): Promise<Tenant> =>
  createTenant(apps[0].url, simulator.url, objects)

/** Gives the tenant's connection other credentials. */
const reconnect = (of: Tenant, clientSecret: string) =>
  caller(apps[0].url)('PATCH', `/v1/projects/${of.projectId}/connections/${of.connectionId}`, {
    credentials: {
      type: 'oauth2-client-credentials',
      clientId: 'writeback-demo',
      clientSecret,
      loginUrl: simulator.url,
    },
  })

describe('the lists of options', () => {
  it('have the objects that can be written, in order', async () => {
    const answer = await options('salesforce_object')
    expect(answer.status).toBe(200)
    expect(valuesIn(answer)).toEqual(expect.arrayContaining(['Account', 'Contact', 'Lead']))
    expect(valuesIn(answer)).not.toContain('User')
    const labels = answer.body.options.map(({ label }) => label)
    expect(labels).toEqual(labels.toSorted(new Intl.Collator('en').compare))
    expect(answer.body.options).toContainEqual({ label: 'Account', value: 'Account' })
  })

  it('have the fields flagged External ID, as the example of the document asks', async () => {
    simulator.org.defineObject({
      name: 'Site__c',
      label: 'Site',
      fields: [
        { name: 'Domain__c', label: 'Domain', type: 'string', externalId: true },
        { name: 'Legacy__c', label: 'Account key', type: 'string', externalId: true },
        { name: 'Email__c', type: 'email', idLookup: true },
        { name: 'Worked_Out__c', type: 'string', createable: false, updateable: false },
        { name: 'Once__c', label: 'Once', type: 'string', updateable: false },
      ],
    })
    const of = await freshTenant()
    const keys = await options('salesforce_external_id_field', ofObject('Site__c'), { of })
    expect(valuesIn(keys)).toEqual([
      'Legacy__c',
      'Case_Key__c',
      'Domain__c',
      'External_Id__c',
      'Region_Key__c',
      'Write_Id__c',
    ])
    expect(keys.body.options[0]).toEqual({ label: 'Account key', value: 'Legacy__c' })
    const fields = valuesIn(await options('add_fields_and_their_values', ofObject('site__C'), { of }))
    expect(fields).toEqual(expect.arrayContaining(['Domain__c', 'Email__c', 'Legacy__c', 'Once__c']))
    expect(fields).not.toContain('Worked_Out__c')
    expect(fields).not.toContain('Id')
    const account = await options('salesforce_external_id_field', ofObject('Account'))
    expect(valuesIn(account)).not.toContain('Id')
  })

  it('are kept, so that asking again costs no call', async () => {
    const of = await freshTenant()
    const before = describes().length
    for (let time = 0; time < 3; time += 1) {
      await options('salesforce_object', {}, { of })
      await options('add_fields_and_their_values', ofObject('Lead'), { of })
      await options('salesforce_external_id_field', ofObject('Lead'), { of })
    }
    expect(describes().slice(before)).toEqual([
      '/services/data/v67.0/sobjects',
      '/services/data/v67.0/sobjects/Lead/describe',
    ])
  })

  it('are read anew within a second, in every process, once the connection has changed', async () => {
    const of = await freshTenant()
    for (const app of apps) await options('salesforce_external_id_field', ofObject('Contact'), { of, app })
    const known = await options('salesforce_object', {}, { of, app: apps[1] })
    expect(valuesIn(known)).not.toContain('Later__c')
    simulator.org.defineObject({ name: 'Later__c', fields: [{ name: 'X__c', type: 'string' }] })
    expect(valuesIn(await options('salesforce_object', {}, { of, app: apps[1] }))).not.toContain('Later__c')
    expect((await reconnect(of, 'demo-secret')).status).toBe(200)
    await waitUntil(
      async () => valuesIn(await options('salesforce_object', {}, { of, app: apps[1] })).includes('Later__c'),
      { timeoutMs: 1_000, what: 'the new list' },
    )
  })

  it('are read anew for an access token that is given once more', async () => {
    const of = await freshTenant()
    const form = {
      grant_type: 'client_credentials',
      client_id: 'writeback-demo',
      client_secret: 'demo-secret',
    }
    const minted = await fetch(`${simulator.url}/services/oauth2/token`, {
      method: 'POST',
      body: new URLSearchParams(form),
    })
    const { access_token: accessToken } = (await minted.json()) as { access_token: string }
    const give = () =>
      caller(apps[0].url)('PATCH', `/v1/projects/${of.projectId}/connections/${of.connectionId}`, {
        credentials: { type: 'access-token', accessToken, instanceUrl: simulator.url },
      })
    await give()
    await options('salesforce_object', {}, { of })
    const before = describes().length
    await options('salesforce_object', {}, { of })
    expect(describes()).toHaveLength(before)
    await give()
    await options('salesforce_object', {}, { of })
    expect(describes()).toHaveLength(before + 1)
  })

  it('have no more than what the installation lists', async () => {
    const of = await freshTenant({
      Contact: { objectName: 'Contact' },
      Account: { objectName: 'Account', mapToName: 'company' },
    })
    expect(valuesIn(await options('salesforce_object', {}, { of }))).toEqual(['Account', 'Contact'])
    expect((await options('add_fields_and_their_values', ofObject('Lead'), { of })).status).toBe(403)
    const mapped = await options('add_fields_and_their_values', ofObject('company'), { of })
    expect(valuesIn(mapped)).toContain('Name')
  })

  it('of an object that is not there are a 400 that names it, and cost the org no call', async () => {
    await options('salesforce_object')
    const before = describes().length
    const answer = await options<Problem>('salesforce_external_id_field', ofObject('Nope__c'))
    expect(answer.status).toBe(400)
    expect(answer.body.issues).toEqual([
      { path: '/context/salesforce_object', message: 'names no object of the org: "Nope__c"' },
    ])
    expect(describes()).toHaveLength(before)
  })

  it('take no context that they do not know', async () => {
    const answers = await Promise.all([
      options<Problem>('salesforce_object', { context: { workflow: 'x' } }),
      options<Problem>('salesforce_external_id_field', { context: { salesforce_object: 'Lead', x: 1 } }),
      options<Problem>('add_fields_and_their_values', { context: {} }),
      options<Problem>('add_fields_and_their_values', { nonsense: 1 }),
    ])
    expect(
      answers.map(({ status, body }) => [status, ...(body.issues ?? []).map(({ path }) => path)]),
    ).toEqual([
      [400, '/context/workflow'],
      [400, '/context/x'],
      [400, '/context/salesforce_object'],
      [400, '/context', '/nonsense'],
    ])
  })
})

describe('without a working connection', () => {
  it('the answer is 424, also where a list is kept', async () => {
    const of = await freshTenant()
    expect((await options('salesforce_object', {}, { of })).status).toBe(200)
    await reconnect(of, 'wrong')
    const answer = await options<Problem>('salesforce_object', {}, { of })
    expect(answer).toMatchObject({ status: 424, body: { code: 'NO_WORKING_CONNECTION' } })
  })

  it('an expired session is replaced once, then it is a 502', async () => {
    const of = await freshTenant()
    simulator.org.faults.add({ match: { operation: 'describeGlobal' }, action: { type: 'expireSessions' } })
    expect((await options('salesforce_object', {}, { of })).status).toBe(200)
    const other = await freshTenant()
    simulator.org.faults.add({
      match: { operation: 'describeGlobal' },
      action: { type: 'expireSessions' },
      times: 2,
    })
    const before = describes().length
    const answer = await options<Problem>('salesforce_object', {}, { of: other })
    expect(answer).toMatchObject({ status: 502, body: { code: 'INVALID_SESSION_ID' } })
    expect(describes()).toHaveLength(before + 2)
    expect((await options('salesforce_object', {}, { of: other })).status).toBe(200)
  })

  it('a provider that does not answer in time is a 504, and the next one is asked anew', async () => {
    const of = await freshTenant()
    const gate = simulator.org.faults.hold({ operation: 'describeGlobal' })
    const late = await options<Problem>('salesforce_object', {}, { of, headers: { 'request-timeout': '1' } })
    expect(late).toMatchObject({ status: 504, body: { code: 'PROVIDER_TIMEOUT' } })
    gate.release()
    expect((await options('salesforce_object', {}, { of })).status).toBe(200)
  })
})
