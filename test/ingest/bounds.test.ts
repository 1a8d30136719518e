import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startOutcomeWaiter } from '../../src/ingest/await-outcome.ts'
import { createIdempotency } from '../../src/ingest/idempotency.ts'
import { startIngest } from '../../src/ingest/ingest.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { isWritebackError } from '../../src/kernel/errors.ts'
import { newId } from '../../src/kernel/ids.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { incoming, laneKey } from '../support/queue-fixture.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

describe('commits that come to a standstill', () => {
  it('fill what may wait for them, and then nothing more is taken until half of it is gone', async () => {
    const { sql } = database
    const ingest = startIngest({
      sql,
      nudge: () => Promise.resolve(),
      clock: systemClock,
      logger: silentLogger,
      idempotency: createIdempotency(sql, silentLogger),
      maxWaiting: 1_000_000,
    })
    let release: () => void = () => undefined
    const locked = Promise.withResolvers<undefined>()
    const blocking = sql.begin(async (tx) => {
      await tx`lock table write in exclusive mode`
      locked.resolve(undefined)
      await new Promise<void>((resolve) => (release = resolve))
    })
    await locked.promise
    const lane = laneKey()
    const submit = () => ingest.submit(incoming(lane, { bytes: 1024 * 1024 }))
    const waiting = Array.from({ length: 63 }, submit)
    ingest.checkRoom()
    waiting.push(submit())
    const refusal: unknown = await new Promise((resolve) => {
      try {
        ingest.checkRoom()
        resolve(null)
      } catch (error) {
        resolve(error)
      }
    })
    expect(isWritebackError(refusal, 'TOO_MUCH_QUEUED')).toBe(true)
    release()
    await blocking
    expect(await Promise.all(waiting)).toHaveLength(64)
    ingest.checkRoom()
    await ingest.stop()
  })
})

describe('waits for outcomes', () => {
  it('are bounded: one too many is answered at once, and one that ends makes room', async () => {
    const waiter = await startOutcomeWaiter({ sql: database.sql, clock: systemClock, logger: silentLogger })
    const waits = Array.from({ length: 20_000 }, () => waiter.wait(newId(), 60_000))
    expect(waiter.open).toBe(20_000)
    expect(await waiter.wait(newId(), 60_000).ended).toBe(false)
    waits[0]!.cancel()
    const late = waiter.wait(newId(), 60_000)
    expect(waiter.open).toBe(20_000)
    await waiter.stop()
    expect(await late.ended).toBe(false)
    expect(waiter.open).toBe(0)
  })
})
