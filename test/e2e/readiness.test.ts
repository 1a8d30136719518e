import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startApp, type App } from '../../src/app.ts'
import type { TestDatabase } from '../support/database.ts'
import { startRelay, type Relay } from '../support/relay.ts'
import { appOptions, createServiceDatabase } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'
import { readSamples } from '../metrics/samples.ts'

let database: TestDatabase
let relay: Relay
const apps: App[] = []
beforeAll(async () => {
  database = await createServiceDatabase()
  relay = await startRelay(database.url)
})
afterEach(async () => {
  relay.mend()
  await Promise.all(apps.splice(0).map((app) => app.stop(5_000)))
})
afterAll(async () => {
  await relay.stop()
  await database.drop()
})

async function start(role: 'api' | 'worker' | 'all'): Promise<App> {
  const app = await startApp(appOptions(relay.url, { role }))
  apps.push(app)
  return app
}

interface Ready {
  workers: { status: string; alive: number }
}
const ask = async (app: App) => {
  const answer = await fetch(`${app.url}/readyz`)
  return { status: answer.status, body: (await answer.json()) as Ready }
}
const workersOf = (app: App, status: string, alive: number) =>
  waitUntil(
    async () => {
      const { workers } = (await ask(app)).body
      return workers.status === status && workers.alive === alive
    },
    { timeoutMs: 10_000, what: `${alive} workers, ${status}` },
  )

describe('readiness', () => {
  it('tells of the workers of all processes, and of one that has ended', async () => {
    const api = await start('api')
    const alone = await ask(api)
    expect(alone).toMatchObject({ status: 200, body: { workers: { status: 'missing', alive: 0 } } })
    const workers = [await start('worker'), await start('worker')]
    await workersOf(api, 'seen', 2)
    await workersOf(workers[0]!, 'seen', 2)
    await Promise.all(workers.map((worker) => worker.stop(5_000)))
    await workersOf(api, 'missing', 0)
  })

  it('forgets a worker that was not seen for a minute', async () => {
    const api = await start('api')
    await database.sql`insert into worker_seen values ('lost', now() - interval '61 seconds'), ('late', now() - interval '50 seconds')`
    expect((await ask(api)).body.workers).toMatchObject({ status: 'seen', alive: 1 })
    await database.sql`delete from worker_seen`
  })

  it('is refused with the database away, in time, and metrics are still told', async () => {
    const app = await start('all')
    await workersOf(app, 'seen', 1)
    expect((await readSamples(app.url)).value('writeback_database_up')).toBe(1)
    relay.cut()
    const begun = performance.now()
    expect((await ask(app)).status).toBe(503)
    expect(performance.now() - begun).toBeLessThan(4_000)
    expect((await readSamples(app.url)).value('process_cpu_seconds_total')).toBeGreaterThan(0)
    relay.mend()
    await waitUntil(async () => (await ask(app)).status === 200, { timeoutMs: 20_000, what: 'readiness' })
  })

  it('is refused while the database lacks a migration', async () => {
    const app = await start('api')
    const [gone] =
      await database.sql`delete from migration where version = (select max(version) from migration) returning *`
    const { status, body } = await ask(app)
    expect(status).toBe(503)
    expect(JSON.stringify(body)).toContain(gone!['name'])
    await database.sql`insert into migration ${database.sql(gone!)}`
    expect((await ask(app)).status).toBe(200)
  })
})
