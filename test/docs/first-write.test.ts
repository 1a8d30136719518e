import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startApp, type App } from '../../src/app.ts'
import type { Operation, OperationLog } from '../../src/contract/operation.ts'
import { startSimulator, type Simulator } from '../../src/simulator/start.ts'
import type { TestDatabase } from '../support/database.ts'
import { ADMIN_KEY, appOptions, createServiceDatabase } from '../support/service.ts'

const guide = readFileSync(new URL('../../docs/guides/first-write.md', import.meta.url), 'utf8')
const walkthrough = guide.split('<!-- walkthrough:start -->')[1]?.split('<!-- walkthrough:end -->')[0] ?? ''
const blocks = [...walkthrough.matchAll(/```sh\n(.*?)```/gs)].map((match) => match[1] ?? '')

let database: TestDatabase
let simulator: Simulator
let app: App

beforeAll(async () => {
  database = await createServiceDatabase()
  simulator = await startSimulator()
  app = await startApp(appOptions(database.url))
})
afterAll(async () => {
  await app.stop(5_000)
  await simulator.close()
  await database.drop()
})

describe('the walk-through of the guide', () => {
  it('runs as it stands, and its write goes all the way', async () => {
    expect(blocks.length).toBeGreaterThan(3)
    const { stdout, stderr } = await promisify(execFile)(
      'bash',
      ['--norc', '-euo', 'pipefail', '-c', blocks.join('\n')],
      {
        env: {
          WRITEBACK_URL: app.url,
          SIMULATOR_URL: simulator.url,
          ADMIN_KEY,
          PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
        },
      },
    )
    expect(stderr).toBe('')
    const answers = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown)
    const [operation, logs, records] = answers.slice(-3) as [
      Operation,
      OperationLog[],
      { records: unknown[] },
    ]
    expect(operation).toMatchObject({
      status: 'success',
      resource: 'Contact',
      metadata: { state: 'succeeded', reference: 'row-17', records: [{ success: true, created: true }] },
    })
    expect(logs.map(({ message }) => message.msg)).toEqual(['accepted', 'grouped', 'attempt', 'outcome'])
    const [recordId] = operation.metadata.successfulRecordIds
    expect(records.records).toMatchObject([{ Id: recordId, LastName: 'Ngata', Email: 'ngata@example.com' }])
    expect(simulator.org.count('Contact')).toBe(1)
  })
})
