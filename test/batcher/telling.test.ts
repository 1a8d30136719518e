import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { reportGroup, triggerOf } from '../../src/batcher/log-batch.ts'
import { startSweeper } from '../../src/batcher/sweeper.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { noTelemetry, type SettledWrites } from '../../src/kernel/telemetry.ts'
import type { ClaimedBatch } from '../../src/queue/claim-batch.ts'
import { startBatches } from '../../src/queue/start-batch.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { addWrites, claim, incoming, laneIdOf, laneKey } from '../support/queue-fixture.ts'
import { steppedClock } from './fixture.ts'

let database: TestDatabase
const sql = () => database.sql
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

/** Claims a lane of one plain create, as a process would that dies before it says more. */
async function abandoned(isStarted: boolean): Promise<void> {
  const key = laneKey()
  await addWrites(sql(), [incoming(key, { delaySeconds: 0 })])
  const { batch } = await claim(sql(), await laneIdOf(sql(), key))
  if (isStarted) await startBatches(sql(), [batch!.batchId], 60)
  await sql()`update batch set lease_until = now() - interval '1 hour', claimed_at = now() where id = ${batch!.batchId}`
}

describe('a sweep', () => {
  it('tells of what it takes from lost processes, and what became of it', async () => {
    const told: unknown[] = []
    const sweeper = startSweeper({
      sql: sql(),
      nudge: () => Promise.resolve(),
      clock: steppedClock(),
      logger: silentLogger,
      intervalMs: 1_000,
      random: () => 0,
      worker: 'this one',
      telemetry: {
        ...noTelemetry,
        rescued: (started) => void told.push(started ? 'started' : 'not started'),
        settled: ({ inDoubt, retried, deferred, ended }: SettledWrites) =>
          void told.push([inDoubt, retried, deferred, ended.length]),
      },
    })
    await sweeper.sweep()
    told.length = 0
    await abandoned(true)
    await sweeper.sweep()
    // a create whose answer was lost with its process
    expect(told.splice(0)).toEqual(['started', [1, 0, 0, 1]])
    await abandoned(false)
    await sweeper.sweep()
    // it goes back as it was: no outcome, no retry
    expect(told.splice(0)).toEqual(['not started', [0, 0, 0, 0]])

    expect(await sql()`select worker from worker_seen`).toEqual([{ worker: 'this one' }])
    await sweeper.stop()
    expect(await sql()`select worker from worker_seen`).toEqual([])
  })
})

describe('why a group left', () => {
  const of = (size: number, lateMs: number, leftAs?: ClaimedBatch['leftAs']) =>
    triggerOf({ members: Array.from({ length: size }), lateMs, ...(leftAs && { leftAs }) } as ClaimedBatch)

  it('is that it was full, however late it is', () => {
    expect([of(100, -5), of(100, 0), of(100, 5_000), of(3, -5)]).toEqual(['full', 'full', 'full', 'full'])
  })
  it('is its deadline, a flush that made it due at this very moment, or what it left for', () => {
    expect([of(3, 1), of(3, 0), of(3, -5, 'rider'), of(3, 5, 'ahead')]).toEqual([
      'deadline',
      'flush',
      'rider',
      'ahead',
    ])
  })
})

it('the batch of a synchronous call is told of as the groups that it went in', () => {
  const told: [string, number][] = []
  const batch = { members: Array.from({ length: 401 }), lateMs: 0 } as ClaimedBatch
  reportGroup({ groupSent: (trigger, size) => void told.push([trigger, size]) }, batch, 'synchronous')
  expect(told).toEqual([
    ['synchronous', 200],
    ['synchronous', 200],
    ['synchronous', 1],
  ])
})
