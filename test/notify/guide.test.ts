import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { ADMIN_KEY, caller, startService, type Service } from '../support/service.ts'

const root = resolve(import.meta.dirname, '../..')
const guide = readFileSync(resolve(root, 'docs/guides/notifications.md'), 'utf8')
const [create = '', event = '', receiver = ''] = ['sh', 'json', 'js'].map(
  (language) => new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'ms').exec(guide)?.[1],
)

let service: Service
beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.stop())

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((closed) => server.close(closed))
  return port
}

it("the guide's destination tells the guide's receiver what the guide shows", async () => {
  const { app, tenant } = service
  const PORT = String(await freePort())
  const { stdout } = await promisify(execFile)('bash', ['--norc', '-euo', 'pipefail', '-c', create], {
    env: {
      PATH: process.env['PATH'],
      WRITEBACK_URL: app.url,
      PROJECT: tenant.projectId,
      KEY: ADMIN_KEY,
      HOOK_URL: `http://127.0.0.1:${PORT}/`,
    },
  })
  const { id, secret } = JSON.parse(stdout) as { id: string; secret: string }
  const child = spawn(process.execPath, ['--input-type=module', '-e', receiver], {
    cwd: root,
    env: { PORT, WEBHOOK_SECRET: secret },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  // A test that waits in vain is not let to its end.
  onTestFinished(() => void child.kill())
  try {
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    const next = async (): Promise<string> => String((await lines.next()).value)
    expect(await next()).toBe('ready')
    const tested = await caller(app.url)('POST', `/v1/projects/${tenant.projectId}/destinations/${id}:test`)
    expect(tested.body).toMatchObject({ delivered: true, status: 204 })
    expect(JSON.parse(await next())).toMatchObject({ notificationType: 'destination.test' })
    await tenant.write('Contact', { type: 'create', record: { LastName: 'Ngata' }, reference: 'row-17' })
    const told = JSON.parse(await next()) as { data: Record<string, unknown> }
    const shown = JSON.parse(event) as typeof told
    const { notificationType, data } = shown as unknown as { notificationType: string; data: object }
    expect(told).toMatchObject({ notificationType })
    expect(Object.keys(told.data)).toEqual(Object.keys(data))
    expect(told.data).toMatchObject({
      provider: 'salesforce',
      success: true,
      errors: [],
      reference: 'row-17',
    })
  } finally {
    child.kill()
    await once(child, 'exit')
  }
})
