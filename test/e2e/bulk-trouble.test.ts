import { describe, expect, it } from 'vitest'
import type { Sql } from '../../src/db/connect.ts'
import { rawCall, type RawCall, type Result } from '../api/bulk-harness.ts'
import { startOwnDatabase } from '../faults/own-database.ts'
import { ADMIN_KEY, startService, type Service } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

const until = (what: string, condition: () => boolean | Promise<boolean>): Promise<void> =>
  waitUntil(condition, { timeoutMs: 20_000, what })

type Running = Pick<Service, 'app' | 'tenant'>

/** A call that is under way: lines go in, results come out. */
interface Talk {
  call: RawCall
  /** Sends so many writes that will wait. */
  say: (count: number) => void
  /** Writes sent so far. */
  readonly said: number
  /** Waits until every write sent has its result. */
  heard: () => Promise<Result[]>
  /** Ends the call and waits for its answer's end. */
  finish: () => Promise<Result[]>
}

async function talkTo({ app, tenant }: Running): Promise<Talk> {
  const path = `/v1/projects/${tenant.projectId}/integrations/${tenant.integrationId}/writes`
  const call = await rawCall({ url: app.url, path }, ADMIN_KEY)
  // Ten lanes, so that no group is ever full and leaves.
  const lines = ['Contact', 'Account', 'Lead', 'Case', 'Task'].flatMap((objectName) =>
    [false, true].map((allOrNone) =>
      JSON.stringify({
        groupRef: tenant.groupRef,
        objectName,
        type: 'create',
        record: { LastName: 'Bulk' },
        autoBatchPolicy: { maxDelayMinutes: 600, allOrNone },
      }),
    ),
  )
  let said = 0
  const heard = async (): Promise<Result[]> => {
    await until('every result', () => call.results.length === said)
    return call.results
  }
  return {
    call,
    say: (count) => {
      const own = Array.from({ length: count }, (_, place) => lines[(said + place) % lines.length])
      said += count
      call.send(`${own.join('\n')}\n`)
    },
    get said() {
      return said
    },
    heard,
    finish: async () => {
      call.end()
      await until('the end', () => call.text.endsWith('0\r\n\r\n'))
      call.socket.destroy()
      return heard()
    },
  }
}

/** Waits until nobody new is let in any more. */
const untilClosing = ({ app }: Running): Promise<void> =>
  until('the server to be closing', () =>
    fetch(`${app.url}/healthz`).then(
      () => false,
      () => true,
    ),
  )

const idsOf = (results: Result[]): string[] => results.flatMap(({ operationId }) => operationId ?? [])
const codesOf = (results: Result[]): Set<string | undefined> =>
  new Set(results.map(({ problem }) => problem?.code))

/** Writes that were acknowledged and are there, and all that are there. */
async function counts(sql: Sql, results: Result[]): Promise<{ kept: number; all: number }> {
  const [row] = await sql<{ kept: number; all: number }[]>`
    select count(*) filter (where id = any (${idsOf(results)}::uuid[]))::int as kept, count(*)::int as all from write`
  return row!
}

describe('a bulk call', () => {
  it('while too much is queued has its writes refused one by one, and loses none', async () => {
    const service = await startService({ maxWaiting: 50 })
    const talk = await talkTo(service)
    await until('a refusal', async () => {
      talk.say(20)
      return codesOf(await talk.heard()).has('TOO_MUCH_QUEUED')
    })
    const results = await talk.finish()
    const refused = results.filter(({ problem }) => problem !== undefined)
    expect(codesOf(refused)).toEqual(new Set(['TOO_MUCH_QUEUED']))
    expect(refused[0]!.problem).toMatchObject({
      status: 429,
      retryable: true,
      retryAfter: expect.any(String) as string,
    })
    const accepted = idsOf(results).length
    expect(accepted).toBeGreaterThanOrEqual(50)
    expect(await counts(service.database.sql, results)).toEqual({ kept: accepted, all: accepted })
    await service.stop()
  })

  it('outlives the database: each write is kept or refused, and it goes on when that is back', async () => {
    const service = await startOwnDatabase()
    const talk = await talkTo(service)
    talk.say(100)
    await talk.heard()
    talk.say(500)
    await service.kill()
    talk.say(100)
    const away = await talk.heard()
    expect(idsOf(away).length).toBeGreaterThanOrEqual(100)
    expect(codesOf(away.slice(-100))).toEqual(new Set(['DATABASE_UNAVAILABLE']))
    expect(away.at(-1)!.problem).toMatchObject({ status: 503, retryable: true })
    await service.restart()
    await until('the database to be back', async () => {
      talk.say(1)
      return (await talk.heard()).at(-1)!.operationId !== undefined
    })
    const results = await talk.finish()
    expect(codesOf(results)).toEqual(new Set([undefined, 'DATABASE_UNAVAILABLE']))
    expect((await counts(service.sql, results)).kept).toBe(idsOf(results).length)
    await service.stop()
  })

  it('that is under way when the process stops is finished first', async () => {
    const service = await startService()
    const talk = await talkTo(service)
    talk.say(100)
    await talk.heard()
    const stopped = service.app.stop(20_000)
    await untilClosing(service)
    talk.say(300)
    const begun = performance.now()
    const results = await talk.finish()
    await stopped
    expect(performance.now() - begun).toBeLessThan(10_000)
    expect(codesOf(results)).toEqual(new Set([undefined]))
    expect(await counts(service.database.sql, results)).toEqual({ kept: 400, all: 400 })
    await service.stop()
  })

  it('that goes on for too long while the process stops has the rest refused, and ends in order', async () => {
    const service = await startService()
    const talk = await talkTo(service)
    talk.say(1)
    await talk.heard()
    const stopped = service.app.stop(2_000)
    await until('a refusal', async () => {
      talk.say(1)
      return codesOf(await talk.heard()).has('SHUTTING_DOWN')
    })
    const results = await talk.finish()
    await stopped
    expect(codesOf(results)).toEqual(new Set([undefined, 'SHUTTING_DOWN']))
    expect(results.at(-1)!.problem).toMatchObject({ status: 503, retryable: true })
    const accepted = idsOf(results).length
    expect(await counts(service.database.sql, results)).toEqual({ kept: accepted, all: accepted })
    await service.stop()
  })

  it('that ends while the process stops does not hold it up by its open connection', async () => {
    const service = await startService()
    const talk = await talkTo(service)
    talk.say(1)
    await talk.heard()
    const stopped = service.app.stop(20_000)
    await untilClosing(service)
    talk.call.end()
    const begun = performance.now()
    await stopped
    expect(performance.now() - begun).toBeLessThan(10_000)
    await until('the connection to close', () => talk.call.isClosed)
    await service.stop()
  })
})
