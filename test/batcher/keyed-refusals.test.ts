import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sendOnce, type KeyedCall } from '../../src/api/ampersand/keyed-write.ts'
import { writeShape } from '../../src/api/ampersand/write-answer.ts'
import type { SendNow } from '../../src/batcher/send-now.ts'
import { isDatabaseUnavailable } from '../../src/db/pg-errors.ts'
import { createIdempotency } from '../../src/ingest/idempotency.ts'
import { newId } from '../../src/kernel/ids.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { incoming, laneKey } from '../support/queue-fixture.ts'
import { waitUntil } from '../support/wait-until.ts'
import { states } from './fixture.ts'
import { answered, inTurn, notSent, nowProcesses, written } from './now-fixture.ts'

let database: TestDatabase
const sql = () => database.sql
const processes = nowProcesses(sql)

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(async () => {
  await processes.stopAll()
  await database.drop()
})

/** Until it is told to stop, the database answers the mark that this try of a call goes out as one that shuts down. */
async function refuseToStart(attempt: number): Promise<() => Promise<unknown>> {
  await sql().unsafe(`
    create or replace function refuse_to_start() returns trigger language plpgsql as $$
    begin raise exception 'the server is shutting down' using errcode = '57P01'; end $$;
    create trigger refuse_to_start before update on batch for each row
    when (new.state = 'started' and new.attempt = ${attempt}) execute function refuse_to_start();`)
  return () => sql().unsafe('drop trigger refuse_to_start on batch')
}

/** A call with a key, to be repeated; `ids` are those of the writes that it was made with. */
function keyedCall(now: SendNow) {
  const lane = laneKey()
  const ids: string[] = []
  const port = {
    submit: () => Promise.reject(new Error('nothing is asynchronous here')),
    sendNow: now.send,
    idempotency: createIdempotency(sql(), silentLogger),
  }
  const call: KeyedCall = {
    projectId: lane.projectId,
    key: { text: newId(), requestHash: Buffer.from('the same') },
    accept: () => {
      const submission = incoming(lane, { delaySeconds: 0 })
      ids.push(submission.writes[0].id)
      return Promise.resolve(submission)
    },
    timeMs: 10_000,
    shape: writeShape,
    toFailure: (error) => {
      throw error
    },
  }
  return { ids, send: () => sendOnce(port, call) }
}

describe('a call with a key that is refused because the database goes away before its write is sent', () => {
  it.each([
    { what: 'at its first try', unreached: 0 },
    { what: 'after a try that did not reach the provider', unreached: 1 },
  ])('$what: the same key makes it once the database is back', async ({ unreached }) => {
    const before = Array.from({ length: unreached }, () => notSent)
    const now = await processes.start(inTurn(...before, answered(written)))
    const { ids, send } = keyedCall(now)
    const letStart = await refuseToStart(unreached + 1)
    const refusal: unknown = await send().catch((error: unknown) => error)
    expect(isDatabaseUnavailable(refusal)).toBe(true)
    await letStart()
    await waitUntil(async () => (await states(sql(), ids))[0] === `failed ${unreached}`, {
      timeoutMs: 10_000,
      what: 'the refusal to be recorded',
    })
    const made = await send()
    expect([made.status, made.repeated]).toEqual([200, false])
    expect(await send()).toEqual({ ...made, repeated: true })
    expect(await states(sql(), ids)).toEqual([`failed ${unreached}`, 'succeeded 1'])
    expect(now.provider.calls).toHaveLength(unreached + 1)
  })
})
