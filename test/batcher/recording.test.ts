import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { runLane } from '../../src/batcher/run-lane.ts'
import { connect, type Database, type Sql } from '../../src/db/connect.ts'
import { readAttempts } from '../../src/queue/read.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addWrites,
  expectLanesTrue,
  incoming,
  laneIdOf,
  laneKey,
  refuseIllegalMoves,
} from '../support/queue-fixture.ts'
import { waitUntil } from '../support/wait-until.ts'
import { handMadeProvider, heldProvider, runnerWith, states, turn } from './fixture.ts'

let database: TestDatabase
let worker: Database
const sql = (): Database => database.sql

beforeAll(async () => {
  database = await createTestDatabase()
  await refuseIllegalMoves(database.sql)
  worker = connect({ url: database.url, max: 2, applicationName: 'the worker' })
})
afterEach(() => expectLanesTrue(sql()))
afterAll(async () => {
  await worker.end({ timeout: 5 })
  await database.drop()
})

async function dueLane(count: number): Promise<{ laneId: string; ids: string[] }> {
  const key = laneKey()
  const ids = await addWrites(
    sql(),
    Array.from({ length: count }, () => incoming(key, { delaySeconds: 0 })),
  )
  return { laneId: await laneIdOf(sql(), key), ids }
}

const expectRecordedOnce = async (ids: string[]): Promise<void> => {
  expect(await states(sql(), ids)).toEqual(ids.map(() => 'succeeded 1'))
  for (const id of ids)
    expect(await readAttempts(sql(), [id])).toMatchObject([{ number: 1, decision: 'succeeded' }])
}

describe('an answer that is in hand', () => {
  it('is recorded once when the connection is lost in the middle of recording it', async () => {
    const { laneId, ids } = await dueLane(3)
    const held = heldProvider()
    const running = runLane(runnerWith(worker, held.provider), laneId, turn())
    await held.called(1)
    // The recording meets a lock, and loses its connection there.
    await sql().begin(async (tx) => {
      await tx`select from batch where lane_id = ${laneId} for update`
      held.answer()
      const blocked = (): Promise<{ pid: number }[]> => sql()`
        select pid from pg_stat_activity where application_name = 'the worker' and wait_event_type = 'Lock'`
      await waitUntil(async () => (await blocked()).length === 1, {
        timeoutMs: 5_000,
        what: 'the recording to be blocked',
      })
      await sql()`select pg_terminate_backend(${(await blocked())[0]!.pid})`
    })
    await running
    await expectRecordedOnce(ids)
    expect(held.provider.calls).toHaveLength(1)
  })

  it('is recorded once when only the word of the commit is lost', async () => {
    const { laneId, ids } = await dueLane(3)
    let begun = 0
    const forgetful = new Proxy(worker, {
      get: (target, name): unknown => {
        const value: unknown = Reflect.get(target, name)
        if (name !== 'begin') return value
        return async (...args: unknown[]) => {
          const result = (await Reflect.apply(value as Sql['begin'], target, args)) as unknown
          begun += 1
          if (begun === 2) throw Object.assign(new Error('lost'), { code: 'CONNECTION_CLOSED' })
          return result
        }
      },
    })
    const provider = handMadeProvider()
    await runLane(runnerWith(forgetful, provider), laneId, turn())
    expect(begun).toBeGreaterThanOrEqual(3)
    expect(provider.calls).toHaveLength(1)
    await expectRecordedOnce(ids)
  })
})
