import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Webhook } from 'standardwebhooks'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { ADMIN_KEY, createTenant, type Tenant } from '../support/service.ts'
import { exampleFiles, installPacked, type PackedProject } from './packed.ts'
import { oneStory } from '../support/one-story.ts'

const root = resolve(import.meta.dirname, '../..')
let project: PackedProject
let database: TestDatabase
let simulator: Simulator
let tenant: Tenant
let service: ReturnType<PackedProject['start']>
let env: Record<string, string>

beforeAll(async () => {
  ;[project, database, simulator] = await Promise.all([
    installPacked(),
    // Without migrations: the package brings them.
    createTestDatabase({ empty: true }),
    startSimulator(),
  ])
  service = project.start(['node_modules/.bin/writeback', 'serve'], {
    PORT: '0',
    DATABASE_URL: database.url,
    WRITEBACK_ADMIN_KEY: ADMIN_KEY,
    WRITEBACK_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    WRITEBACK_INSECURE_PROVIDERS: 'true',
    WRITEBACK_DB_POOL: '5',
  })
  const { url } = JSON.parse(await service.line('"listening"')) as { url: string }
  tenant = await createTenant(url, simulator.url)
  env = {
    WRITEBACK_URL: url,
    WRITEBACK_API_KEY: ADMIN_KEY,
    WRITEBACK_PROJECT: tenant.projectId,
    WRITEBACK_INTEGRATION: tenant.integrationId,
    GROUP_REF: tenant.groupRef,
  }
})
afterAll(async () => {
  const ended = once(service.child, 'close')
  service.child.kill('SIGTERM')
  const [code] = (await ended) as [number]
  await simulator.close()
  await database.drop()
  await project.remove()
  expect(code).toBe(0)
})

const count = (lastName: string): number => simulator.org.find('Contact', 'LastName', lastName).length

describe('a project with the package', oneStory, () => {
  describe('the packed package', () => {
    it('holds what it needs to run and to be read, and nothing else', () => {
      expect(project.files).toEqual(
        expect.arrayContaining(['dist/main.js', 'dist/client/index.d.ts', 'README.md', 'LICENSE']),
      )
      expect(project.files.filter((path) => path.startsWith('migrations/')).length).toBeGreaterThan(10)
      const known =
        /^(dist\/.*\.(js|d\.ts)|migrations\/.*\.sql|docs\/.*|examples\/[\w-]+\.(ts|js|md|yaml)|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/
      expect(project.files.filter((path) => !known.test(path))).toEqual([])
    })

    it('has a program that says what it can do', async () => {
      const { stdout } = await project.node(['node_modules/.bin/writeback', '--help'])
      expect(stdout).toContain('serve')
      await expect(project.node(['node_modules/.bin/writeback', 'nonsense'])).rejects.toMatchObject({
        code: 2,
      })
    })

    it('is used from JavaScript, client and service', async () => {
      await writeFile(
        join(project.folder, 'use.js'),
        `import { createClient, verifyWebhook, WritebackError } from 'writeback/client'
       import { startApp } from 'writeback'
       import meta from 'writeback/package.json' with { type: 'json' }
       const client = createClient({ baseUrl: process.env.WRITEBACK_URL, apiKey: process.env.WRITEBACK_API_KEY, project: process.env.WRITEBACK_PROJECT, integration: process.env.WRITEBACK_INTEGRATION })
       const answer = await client.write('Contact', { groupRef: process.env.GROUP_REF, type: 'create', record: { LastName: 'from-js' } })
       console.log(JSON.stringify([answer.result.success, typeof startApp, typeof verifyWebhook, WritebackError.name, meta.name]))`,
      )
      await writeFile(join(project.folder, 'package.json'), '{"type":"module"}')
      const { stdout } = await project.node(['use.js'], env)
      expect(JSON.parse(stdout)).toEqual([true, 'function', 'function', 'WritebackError', 'writeback'])
      await expect(
        project.node(['--input-type=module', '-e', "import 'writeback/dist/app.js'"]),
      ).rejects.toThrow('ERR_PACKAGE_PATH_NOT_EXPORTED')
      expect(count('from-js')).toBe(1)
    })

    it('has types: what is right passes, what is wrong does not', async () => {
      await writeFile(
        join(project.folder, 'use.ts'),
        `import { createClient, type Operation, type RecordAnswer, type WriteOutcome } from 'writeback/client'
       import { startApp, type App } from 'writeback'
       const client = createClient({ baseUrl: 'http://127.0.0.1', apiKey: 'k', project: 'p' })
       const write = { groupRef: 'g', type: 'create' as const, record: { LastName: 'L' } }
       export const accepted: Promise<{ operationId: string }> = client.write('Contact', { ...write, mode: 'asynchronous', autoBatchPolicy: { maxDelaySeconds: 2 } })
       export const answer: Promise<RecordAnswer> = client.write('Contact', write)
       export const batch: Promise<number> = client.write('Contact', { groupRef: 'g', type: 'create', batch: [{ record: {} }] }).then((one) => one.successCount)
       export const operations: Promise<Operation[]> = client.wait(['id'])
       export const outcome: Promise<WriteOutcome> = client.withFallback('Contact', write, { settleWithinMs: 1 })
       export const app: (options: Parameters<typeof startApp>[0]) => Promise<App> = startApp
       // @ts-expect-error there is no such type of write
       void client.write('Contact', { ...write, type: 'replace' })
       // @ts-expect-error an accepted write has no result yet
       void client.write('Contact', { ...write, mode: 'asynchronous' }).then((one) => one.result)
       // @ts-expect-error a delay is for the queue
       void client.write('Contact', { ...write, autoBatchPolicy: { maxDelaySeconds: 2 } })
       // @ts-expect-error the project is missing
       createClient({ baseUrl: 'http://127.0.0.1', apiKey: 'k' })`,
      )
      const tsc = [
        join(root, 'node_modules/typescript/bin/tsc'),
        '--noEmit',
        '--strict',
        '--exactOptionalPropertyTypes',
      ]
      const files = ['use.ts', ...(await exampleFiles()).filter((name) => name.endsWith('.ts'))]
      const options = ['--target', 'es2022', '--module', 'nodenext', '--types', 'node', '--skipLibCheck']
      const checked = await project
        .node([...tsc, ...options, ...files])
        .catch((error: unknown) => error as { stdout: string })
      expect(checked.stdout).toBe('')
    })
  })

  describe('the examples', () => {
    const example = async (file: string, more: Record<string, string> = {}, ...args: string[]) => {
      const { stdout, stderr } = await project.node([file, ...args], { ...env, ...more })
      expect(stderr).toBe('')
      return stdout.trim()
    }

    it('are each shown in their README', async () => {
      const readme = readFileSync(join(root, 'examples/README.md'), 'utf8')
      const named = [...readme.matchAll(/^\| \[([\w.-]+)\]\(\1\)/gm)].map((match) => match[1])
      expect(named.sort()).toEqual(await exampleFiles())
    })

    it('first-write', async () => {
      expect(await example('first-write.ts')).toMatch(/^accepted as [\w-]+\nwritten as 003\w+$/)
      expect(count('Ngata')).toBe(1)
    })

    it('import-file, and again', async () => {
      const lines = Array.from({ length: 1_200 }, (_, n) =>
        JSON.stringify(n === 7 ? { Email: 'a@example.com' } : { LastName: `line-${n}` }),
      )
      await writeFile(join(project.folder, 'some.ndjson'), `${lines.join('\n')}\n\n`)
      const said = await example('import-file.ts', {}, 'some.ndjson')
      expect(said).toMatch(
        /^line-8 failed: Required fields are missing: \[LastName\]\n1199 written, 1 failed$/,
      )
      expect(await example('import-file.ts', {}, 'some.ndjson')).toBe(said)
      expect([count('line-0'), count('line-1199')]).toEqual([1, 1])
    })

    it('with-fallback, and again', async () => {
      const said = await example('with-fallback.ts')
      expect(said).toMatch(/^succeeded by the asynchronous way as 003\w+$/)
      expect(await example('with-fallback.ts')).toBe(said)
    })

    it('webhook-receiver', async () => {
      const secret = `whsec_${randomBytes(24).toString('base64')}`
      const receiver = project.start(['webhook-receiver.ts'], { PORT: '0', WEBHOOK_SECRET: secret })
      const url = (await receiver.line('listening on')).split(' ').at(-1)!
      const post = async (body: string, by: string): Promise<number> => {
        const at = new Date()
        const headers = {
          'webhook-id': 'msg_1',
          'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
          'webhook-signature': new Webhook(by).sign('msg_1', at, body),
        }
        return (await fetch(url, { method: 'POST', headers, body })).status
      }
      const data = { operationId: 'op-1', success: true, successfulRecordIds: ['003A'], errors: [] }
      const failed = { operationId: 'op-2', success: false, successfulRecordIds: [], errors: [{ code: 'X' }] }
      expect(await post(JSON.stringify({ notificationType: 'write.async.done', data }), secret)).toBe(204)
      expect(await post('{}', `whsec_${randomBytes(24).toString('base64')}`)).toBe(400)
      const digest = JSON.stringify({ notificationType: 'write.async.done.digest', data: [data, failed] })
      expect(await post(digest, secret)).toBe(204)
      expect(await receiver.line('op-1')).toBe('op-1: written as 003A')
      expect(await receiver.line('op-2')).toBe('op-2: X')
      const ended = once(receiver.child, 'close')
      receiver.child.kill('SIGTERM')
      expect(await ended).toEqual([0, null])
    })

    it('plain-javascript', async () => {
      expect(await example('plain-javascript.js')).toMatch(/^written as 003\w+\nsucceeded: .+$/)
      expect(count('Moana')).toBe(2)
    })
  })
})
