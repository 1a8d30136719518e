import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { keyIdOf } from '../../src/connections/cipher.ts'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import type { TestDatabase } from '../support/database.ts'
import { startProcess, type ServiceProcess } from '../support/processes.ts'
import { ADMIN_KEY, createServiceDatabase, createTenant, type Tenant } from '../support/service.ts'

const oldKey = randomBytes(32)
const newKey = randomBytes(32)

let database: TestDatabase
let simulator: Simulator
const running: ServiceProcess[] = []

beforeEach(async () => {
  database = await createServiceDatabase()
  simulator = await startSimulator()
})
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.end('SIGKILL')))
  await simulator.close()
  await database.drop()
})

async function start(key: Buffer, oldKeys: Buffer[] = []): Promise<ServiceProcess> {
  const one = await startProcess(database.url, key.toString('base64'), {
    WRITEBACK_OLD_ENCRYPTION_KEYS: oldKeys.map((old) => old.toString('base64')).join(','),
  })
  running.push(one)
  return one
}

/** Runs `writeback reencrypt` as an operator would. */
async function reencrypt(env: Record<string, string>): Promise<string> {
  const main = resolve(import.meta.dirname, '../../src/main.ts')
  const { stdout } = await promisify(execFile)(process.execPath, [main, 'reencrypt'], {
    env: {
      PATH: process.env['PATH'],
      NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
      DATABASE_URL: database.url,
      LOG_LEVEL: 'silent',
      ...env,
    },
  })
  return stdout
}

/** The status of a synchronous write by way of another process than the one that set the tenant up. */
async function write(
  { url }: ServiceProcess,
  { projectId, integrationId, groupRef }: Tenant,
): Promise<number> {
  const response = await fetch(
    `${url}/v1/projects/${projectId}/integrations/${integrationId}/objects/Contact`,
    {
      method: 'POST',
      headers: { 'x-api-key': ADMIN_KEY, 'content-type': 'application/json', 'request-timeout': '2' },
      body: JSON.stringify({ groupRef, type: 'create', record: { LastName: 'Doe' } }),
    },
  )
  return response.status
}

const complaints = ({ lines }: ServiceProcess) =>
  lines.filter((line) => line['level'] === 'error' && String(line['msg']).includes('not configured'))

it('the encryption key is replaced while the service runs, and then the old one is not needed any more', async () => {
  const first = await start(oldKey)
  const tenant = await createTenant(first.url, simulator.url)
  expect(await write(first, tenant)).toBe(200)

  const without = await start(newKey)
  expect(await write(without, tenant)).not.toBe(200)
  expect(complaints(without)).toMatchObject([{ missing: [keyIdOf(oldKey)], configured: [keyIdOf(newKey)] }])

  const both = await start(newKey, [oldKey])
  expect(await write(both, tenant)).toBe(200)
  expect(complaints(both)).toEqual([])

  const keys = {
    WRITEBACK_ENCRYPTION_KEY: newKey.toString('base64'),
    WRITEBACK_OLD_ENCRYPTION_KEYS: oldKey.toString('base64'),
  }
  expect(await reencrypt(keys)).toBe(
    `re-encrypted with key ${keyIdOf(newKey)}: 1 credentials, 1 sessions, 0 signing secrets; 0 could not be read\n`,
  )
  expect(await reencrypt(keys)).toContain(
    ': 0 credentials, 0 sessions, 0 signing secrets; 0 could not be read',
  )

  const last = await start(newKey)
  expect(complaints(last)).toEqual([])
  expect(await write(last, tenant)).toBe(200)
})
