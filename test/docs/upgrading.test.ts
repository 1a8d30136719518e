import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const root = resolve(import.meta.dirname, '../..')
const guide = readFileSync(resolve(root, 'docs/guides/upgrading.md'), 'utf8')
const [, snippet = ''] = /```sh\n(.*?)```/s.exec(guide) ?? []

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase({ empty: true })
})
afterAll(() => database.drop())

/** Runs what the guide says, with the service's own environment; answers with the lines of the log. */
async function run(): Promise<{ msg: string }[]> {
  const { stdout } = await promisify(execFile)('bash', ['--norc', '-euo', 'pipefail', '-c', snippet], {
    cwd: root,
    env: {
      PATH: process.env['PATH'],
      HOME: tmpdir(),
      npm_config_update_notifier: 'false',
      DATABASE_URL: database.url,
      WRITEBACK_ADMIN_KEY: 'an-admin-key-for-this-test',
      WRITEBACK_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    },
  })
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'))
  return lines.map((line) => JSON.parse(line) as { msg: string })
}

it('the guide’s command applies what is due, and nothing the second time', async () => {
  const files = readdirSync(resolve(root, 'migrations')).filter((name) => name.endsWith('.sql'))
  const applied = async (): Promise<string[]> => {
    const rows = await database.sql<{ name: string }[]>`select name from migration order by version`
    return rows.map(({ name }) => `${name}.sql`)
  }
  expect((await run()).at(-1)?.msg).toBe('the database is up to date')
  const after = await applied()
  expect(after).toEqual(files.sort())
  expect((await run()).at(-1)?.msg).toBe('the database is up to date')
  expect(await applied()).toEqual(after)
})
