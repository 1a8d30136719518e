import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { runLane } from '../../src/batcher/run-lane.ts'
import { ConnectionBroken } from '../../src/connections/session-errors.ts'
import type { Database } from '../../src/db/connect.ts'
import { noTelemetry } from '../../src/kernel/telemetry.ts'
import type { NudgeInTransaction } from '../../src/outcomes/record-batch.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addWrites,
  expectLanesTrue,
  incoming,
  laneIdOf,
  laneKey,
  refuseIllegalMoves,
} from '../support/queue-fixture.ts'
import { handMadeProvider, heldProvider, runnerWith, sessionWith, states, turn } from './fixture.ts'

let database: TestDatabase
const sql = (): Database => database.sql

beforeAll(async () => {
  database = await createTestDatabase()
  await refuseIllegalMoves(database.sql)
})
afterEach(async () => {
  expect([...(await sql()`select id from batch where state <> 'ended'`)]).toEqual([])
  await expectLanesTrue(sql())
})
afterAll(() => database.drop())

async function dueLane(count: number): Promise<{ laneId: string; ids: string[]; records: string[] }> {
  const key = laneKey()
  const records = Array.from({ length: count }, (_, index) => `{"LastName":"${index}"}`)
  const ids = await addWrites(
    sql(),
    records.map((record) => incoming(key, { delaySeconds: 0, record })),
  )
  return { laneId: await laneIdOf(sql(), key), ids, records }
}

describe('a turn of a lane', () => {
  it('sends group after group until nothing is ready', async () => {
    const { laneId, ids, records } = await dueLane(250)
    const provider = handMadeProvider()
    await runLane(runnerWith(sql(), provider), laneId, turn())
    expect(provider.calls.flatMap((call) => call.group.records)).toEqual(records)
    expect(provider.calls.map((call) => call.group.records.length)).toEqual([100, 100, 50])
    expect(await states(sql(), ids)).toEqual(ids.map(() => 'succeeded 1'))
  })

  it('claims nothing in a process that stops, and hands its wake-up on', async () => {
    const { laneId, ids } = await dueLane(5)
    const provider = handMadeProvider()
    const woken: string[] = []
    const nudge: NudgeInTransaction = (_tx, wakeups) => {
      woken.push(...wakeups.filter(({ at }) => at.getTime() < Date.now()).map((wakeup) => wakeup.laneId))
      return Promise.resolve()
    }
    await runLane(runnerWith(sql(), provider, { nudge }), laneId, turn({ stopping: () => true }))
    expect(provider.calls).toHaveLength(0)
    expect(await states(sql(), ids)).toEqual(ids.map(() => 'queued 0'))
    expect(woken).toEqual([laneId])
  })

  it('finishes the group that it is at when the process stops, and begins no other', async () => {
    const { laneId, ids } = await dueLane(150)
    const held = heldProvider()
    let isStopping = false
    const running = runLane(runnerWith(sql(), held.provider), laneId, turn({ stopping: () => isStopping }))
    await held.called(1)
    isStopping = true
    held.answer()
    await running
    expect(held.provider.calls).toHaveLength(1)
    expect(await states(sql(), ids)).toEqual(
      ids.map((_, index) => (index < 100 ? 'succeeded 1' : 'queued 0')),
    )
  })

  it('gives back what it claimed when it is cut off before the call, without an attempt, in its old place', async () => {
    const { laneId, ids, records } = await dueLane(150)
    const provider = handMadeProvider()
    const abort = new AbortController()
    abort.abort()
    await runLane(
      runnerWith(sql(), provider),
      laneId,
      turn({ signal: abort.signal, stopping: stopsAfter(2) }),
    )
    expect(provider.calls).toHaveLength(0)
    expect(await states(sql(), ids)).toEqual(ids.map(() => 'queued 0'))
    await runLane(runnerWith(sql(), provider), laneId, turn())
    expect(provider.calls.flatMap((call) => call.group.records)).toEqual(records)
  })

  it('passes the process’s end on to the call', async () => {
    const { laneId, ids } = await dueLane(2)
    const abort = new AbortController()
    const provider = handMadeProvider(({ options }) => {
      abort.abort()
      expect(options.signal?.aborted).toBe(true)
      expect(options.timeoutMs).toBe(10_000)
      return {
        kind: 'lost',
        status: null,
        error: { code: 'ABORTED', message: 'The call was aborted.', fields: [] },
      }
    })
    await runLane(runnerWith(sql(), provider), laneId, turn({ signal: abort.signal }))
    expect(await states(sql(), ids)).toEqual(['in_doubt 1', 'in_doubt 1'])
  })

  it('has its group sent again with a new session, once, when the one it has is refused', async () => {
    const { laneId, ids } = await dueLane(2)
    const provider = handMadeProvider(() => ({
      kind: 'refused',
      status: 401,
      errors: [{ code: 'INVALID_SESSION_ID', message: 'Session expired or invalid', fields: [] }],
      errorClass: 'auth',
      usage: null,
    }))
    const refreshed: number[] = []
    const runner = runnerWith(sql(), provider, {
      random: () => 0.9,
      sessions: {
        open: () => Promise.resolve(sessionWith(provider)),
        refresh: (_installation, staleVersion) => {
          refreshed.push(staleVersion)
          return Promise.resolve({ ...sessionWith(provider), version: staleVersion + 1 })
        },
      },
    })
    await runLane(runner, laneId, turn())
    expect(refreshed).toEqual([1])
    expect(provider.calls).toHaveLength(2)
    expect((await states(sql(), ids)).every((state) => state.startsWith('queued'))).toBe(true)
  })
})

describe('a lane whose connection is broken', () => {
  const broken = () => Promise.reject(new ConnectionBroken('c', 'the user was deactivated'))

  it('is put off with all that waits, and says why', async () => {
    const { laneId, ids } = await dueLane(3)
    const provider = handMadeProvider()
    const sessions = { open: broken, refresh: broken }
    await runLane(runnerWith(sql(), provider, { sessions }), laneId, turn())
    expect(await states(sql(), ids)).toEqual(ids.map(() => 'queued 0'))
    const [lane] =
      await sql()`select held_by, due_at > now() + interval '10 s' as off from lane where id = ${laneId}`
    expect(lane).toEqual({ held_by: 'connection', off: true })
    await sql()`update lane set due_at = now(), held_by = null where id = ${laneId}`
    await runLane(runnerWith(sql(), provider), laneId, turn())
    expect(provider.calls).toHaveLength(1)
  })

  it('ends what has waited until its deadline, and tells of each as what it is', async () => {
    const { laneId, ids } = await dueLane(4)
    const [, tried, lost, young] = ids
    const own = { code: 'UNABLE_TO_LOCK_ROW', message: 'locked', fields: [] }
    await sql()`update write set deadline_at = now() - interval '1 s' where id = any (${ids.filter((id) => id !== young)}::uuid[])`
    await sql()`update write set errors = ${sql().json([own])} where id = ${tried!}`
    await sql()`update write set lost_in = array[id] where id = ${lost!}`
    const told: unknown[] = []
    const telemetry = {
      ...noTelemetry,
      ended: (...of: unknown[]) => void told.push(of.join(' ')),
    }
    const sessions = { open: broken, refresh: broken }
    await runLane(runnerWith(sql(), handMadeProvider(), { sessions, telemetry }), laneId, turn())
    expect(told.sort()).toEqual([
      'failed NO_WORKING_CONNECTION 1',
      'failed UNABLE_TO_LOCK_ROW 1',
      'in_doubt OUTCOME_UNKNOWN 1',
    ])
    expect((await states(sql(), ids)).sort()).toEqual(['failed 0', 'failed 0', 'in_doubt 0', 'queued 0'])
  })

  it('is due at once when new credentials come just before it is put off', async () => {
    const { laneId } = await dueLane(3)
    const provider = handMadeProvider()
    let looks = 0
    const open = () => {
      looks += 1
      return looks === 1 ? broken() : Promise.resolve(sessionWith(provider))
    }
    const woken: string[] = []
    const nudge: NudgeInTransaction = (_tx, wakeups) => {
      woken.push(...wakeups.filter(({ at }) => at.getTime() <= Date.now()).map((wakeup) => wakeup.laneId))
      return Promise.resolve()
    }
    await runLane(runnerWith(sql(), provider, { nudge, sessions: { open, refresh: broken } }), laneId, turn())
    expect(woken).toEqual([laneId])
    const [lane] = await sql()`select held_by, due_at <= now() as due from lane where id = ${laneId}`
    expect(lane).toEqual({ held_by: null, due: true })
    await runLane(runnerWith(sql(), provider), laneId, turn())
    expect(provider.calls).toHaveLength(1)
  })
})

/** A process that stops after so many looks at whether it does. */
const stopsAfter = (looks: number): (() => boolean) => {
  let seen = 0
  return () => {
    seen += 1
    return seen > looks
  }
}
