import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { expectLanesTrue } from '../support/queue-fixture.ts'
import { concurrently, startService, type Answer, type Service } from '../support/service.ts'
import { waitUntil } from '../support/wait-until.ts'

let service: Service

beforeAll(async () => {
  service = await startService({ sweepMs: 200 })
  const { sql } = service.database
  await sql`create table trouble (errcode text)`
  await sql`
    create function make_trouble() returns trigger language plpgsql as $$
    declare code text;
    begin
      select errcode into code from trouble;
      if code is not null then raise exception 'made by the test' using errcode = code; end if;
      return new;
    end $$`
})
afterEach(async () => {
  expect((await fetch(`${service.app.url}/readyz`)).status).toBe(200)
  await waitUntil(
    async () => (await service.database.sql`select 1 from batch where state <> 'ended'`).length === 0,
    { timeoutMs: 10_000, what: 'every batch to be settled' },
  )
  await expectLanesTrue(service.database.sql)
})
afterAll(() => service.stop())

interface Said {
  operationId: string
  code?: string
  result?: { success: boolean }
}

const create = (LastName: string) => ({ type: 'create', record: { LastName } })
const count = (name: string): number =>
  service.simulator.org.records('Contact').filter((record) => record['LastName'] === name).length
const post = (body: Record<string, unknown>, seconds = 5): Promise<Answer<Said>> =>
  service.tenant.post<Said>('Contact', body, { 'request-timeout': String(seconds) })
const queue = (name: string) => post({ mode: 'asynchronous', ...create(name) })
const stateOf = async (operationId: string): Promise<string> =>
  (await service.tenant.operation(operationId, 15)).metadata.state

/** Makes the database refuse with this SQLSTATE what the trigger stands before, until the result is called. */
async function trouble(errcode: string, trigger: string): Promise<() => Promise<void>> {
  const { sql } = service.database
  await sql`insert into trouble values (${errcode})`
  await sql.unsafe(`create trigger trouble ${trigger} execute function make_trouble()`)
  return async () => {
    const table = trigger.includes(' on batch') ? 'batch' : 'write'
    await sql.unsafe(`drop trigger trouble on ${table}`)
    await sql`delete from trouble`
  }
}

describe.each([
  ['a full disk', '53100'],
  ['a statement that takes too long', '57014'],
  ['a server that became read-only', '25006'],
  ['a server out of memory', '53200'],
])('%s (%s)', (name, errcode) => {
  it('refuses asynchronous calls, lets synchronous ones through, and passes', async () => {
    const mend = await trouble(errcode, 'before insert on write for each row')
    const refused = await queue(name)
    expect([refused.status, refused.body.code]).toEqual([503, 'DATABASE_UNAVAILABLE'])
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    const made = await post(create(`${name}, at once`))
    expect([made.status, made.headers.get('writeback-recorded')]).toEqual([200, 'false'])
    await mend()
    const accepted = await queue(name)
    expect(await stateOf(accepted.body.operationId)).toBe('succeeded')
    expect([count(name), count(`${name}, at once`)]).toEqual([1, 1])
  })

  it('when an answer is in hand does not lose it', async () => {
    const mend = await trouble(errcode, "before update on batch for each row when (new.state = 'ended')")
    const queued = await queue(`${name}, answered`)
    const now = await post(create(`${name}, answered at once`))
    expect([now.status, now.headers.get('writeback-recorded')]).toEqual([200, 'false'])
    await waitUntil(() => count(`${name}, answered`) === 1, { timeoutMs: 5_000, what: 'the record' })
    await mend()
    expect(await stateOf(queued.body.operationId)).toBe('succeeded')
    expect(await stateOf(now.body.operationId)).toBe('succeeded')
    expect([count(`${name}, answered`), count(`${name}, answered at once`)]).toEqual([1, 1])
  })
})

describe('commits that come to a standstill', () => {
  it('keep asynchronous calls waiting and synchronous ones not, and all is as it was afterwards', async () => {
    const blocker = connect({ url: service.database.url, max: 2 })
    let release: () => void = () => undefined
    const locked = Promise.withResolvers<undefined>()
    const blocking = blocker.begin(async (tx) => {
      await tx`lock table write in exclusive mode`
      locked.resolve(undefined)
      await new Promise<void>((resolve) => (release = resolve))
    })
    await locked.promise
    let acknowledged = 0
    const queued = Array.from({ length: 50 }, async (_, index) => {
      const answer = await queue(`Stalled ${index}`)
      acknowledged += 1
      return answer
    })
    const now = await post(create('Not stalled'))
    expect([now.status, now.headers.get('writeback-recorded')]).toEqual([200, 'false'])
    expect(acknowledged).toBe(0)
    release()
    await blocking
    await blocker.end({ timeout: 1 })
    const answers = await Promise.all(queued)
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    const states = await concurrently(answers, 20, ({ body }) => stateOf(body.operationId))
    expect(states).toEqual(states.map(() => 'succeeded'))
    // Its row was committed after all, and has the outcome that the caller was told.
    expect(await stateOf(now.body.operationId)).toBe('succeeded')
    expect(count('Not stalled')).toBe(1)
  })
})

describe('a server that ends every connection, again and again', () => {
  it('costs refusals and nothing else', async () => {
    const { sql } = service.database
    const accepted: string[] = []
    let isOver = false
    const unexpected: unknown[] = []
    const writing = concurrently([0, 1, 2, 3], 4, async (writer) => {
      for (let index = 0; !isOver; index += 1) {
        const answer = await queue(`Ended ${writer}.${index}`)
        if (answer.status === 200) accepted.push(answer.body.operationId)
        else if (answer.status !== 503) unexpected.push(answer)
      }
    })
    for (let round = 0; round < 8; round += 1) {
      const before = accepted.length
      await waitUntil(() => accepted.length > before + 10, { timeoutMs: 15_000, what: 'further writes' })
      await sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name like 'writeback-%'`
    }
    isOver = true
    await writing
    expect(unexpected).toEqual([])
    // who comes right after the last blow may still meet a connection that it ended
    const { tenant, app } = service
    const path = `/v1/projects/${tenant.projectId}/operations/${accepted[0]}`
    const isServing = async (): Promise<boolean> => {
      const statuses = await Promise.all(
        Array.from({ length: 8 }, async () => (await tenant.call('GET', path)).status),
      )
      return statuses.every((status) => status === 200) && (await fetch(`${app.url}/readyz`)).status === 200
    }
    await waitUntil(isServing, { timeoutMs: 5_000, what: 'the service to serve again' })
    const states = await concurrently(accepted, 50, stateOf)
    expect(states.filter((state) => state !== 'succeeded')).toEqual([])
    const names = service.simulator.org.records('Contact').map((record) => String(record['LastName']))
    const ended = names.filter((one) => one.startsWith('Ended'))
    expect(new Set(ended).size).toBe(ended.length)
  })
})
