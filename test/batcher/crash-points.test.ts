import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { runLane } from '../../src/batcher/run-lane.ts'
import type { CallRunner } from '../../src/batcher/run-call.ts'
import { startSweeper, type Sweeper } from '../../src/batcher/sweeper.ts'
import type { Database, Sql } from '../../src/db/connect.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import type { LaneKey } from '../../src/model/lane.ts'
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
import { allWritten, endLeases, handMadeProvider, heldProvider, runnerWith, states, turn } from './fixture.ts'

let database: TestDatabase
let sweepers: Sweeper[]
const sql = (): Database => database.sql

beforeAll(async () => {
  database = await createTestDatabase()
  await refuseIllegalMoves(database.sql)
})
beforeEach(() => {
  sweepers = []
})
afterEach(async () => {
  await Promise.all(sweepers.map((one) => one.stop()))
  expect([...(await sql()`select id from batch where state <> 'ended'`)]).toEqual([])
  await expectLanesTrue(sql())
})
afterAll(() => database.drop())

/** A sweeper that sweeps when told to. */
function sweeper(): Sweeper {
  const one = startSweeper({
    sql: sql(),
    nudge: () => Promise.resolve(),
    clock: systemClock,
    logger: silentLogger,
    intervalMs: 3_600_000,
    random: () => 0,
  })
  sweepers.push(one)
  return one
}

async function lane(type: LaneKey['type'], count = 3): Promise<{ laneId: string; ids: string[] }> {
  const key = laneKey({ type, externalIdField: type === 'upsert' ? 'External_Id__c' : null })
  const ids = await addWrites(
    sql(),
    Array.from({ length: count }, () => incoming(key, { delaySeconds: 0 })),
  )
  return { laneId: await laneIdOf(sql(), key), ids }
}

/** What a process is killed with at one of its steps. */
class Killed extends Error {}

/** The pool of a worker that dies in the n-th transaction that it begins, before that does anything. */
function dyingAt(pool: Database, transaction: number): Sql {
  let begun = 0
  return new Proxy(pool, {
    get: (target, name): unknown => {
      const value: unknown = Reflect.get(target, name)
      if (name !== 'begin') return value
      return (...args: unknown[]) => {
        begun += 1
        if (begun === transaction) return Promise.reject(new Killed('killed'))
        return Reflect.apply(value as Sql['begin'], target, args) as unknown
      }
    },
  })
}

/** The pool with something else in place of the statement that marks a batch as started. */
function atStart(pool: Database, instead: (start: () => unknown) => unknown): Sql {
  return new Proxy(pool, {
    apply: (target, self, args): unknown => {
      const [text] = args as [TemplateStringsArray]
      const run = (): unknown => Reflect.apply(target, self, args)
      return text.join('').includes(`set state = 'started'`) ? instead(run) : run()
    },
  })
}

const die = async (runner: CallRunner, laneId: string): Promise<void> => {
  await expect(runLane(runner, laneId, turn())).rejects.toThrow(Killed)
}

const types = ['create', 'update', 'upsert'] as const
const safe = (type: LaneKey['type']): boolean => type !== 'create'

describe.each(types)('a worker that dies with %ss claimed', (type) => {
  it('before it marked them as started: they are sent by another, and no attempt was spent', async () => {
    const { laneId, ids } = await lane(type)
    const provider = handMadeProvider()
    const claimed = Promise.withResolvers<undefined>()
    const dead = atStart(sql(), () => {
      claimed.resolve(undefined)
      return new Promise(() => undefined)
    })
    void runLane(runnerWith(dead, provider), laneId, turn())
    await claimed.promise
    expect(await states(sql(), ids)).toEqual(Array(3).fill('sending 0'))
    await sweeper().sweep()
    expect(await states(sql(), ids)).toEqual(Array(3).fill('sending 0'))
    await endLeases(sql())
    await sweeper().sweep()
    expect(await states(sql(), ids)).toEqual(Array(3).fill('queued 0'))
    expect(provider.calls).toHaveLength(0)
    await runLane(runnerWith(sql(), provider), laneId, turn())
    expect(provider.calls.map((call) => call.group.records.length)).toEqual([3])
    expect(await states(sql(), ids)).toEqual(Array(3).fill('succeeded 1'))
  })

  it('during the call: creates are in doubt, the others are sent again', async () => {
    const { laneId, ids } = await lane(type)
    await die(
      runnerWith(
        sql(),
        handMadeProvider(() => Promise.reject(new Killed('killed'))),
      ),
      laneId,
    )
    await endLeases(sql())
    await sweeper().sweep()
    expect(await states(sql(), ids)).toEqual(Array(3).fill(safe(type) ? 'queued 1' : 'in_doubt 1'))
    const [write] = await sql()<{ errors: { code: string }[] }[]>`
      select errors from write where id = ${ids[0]!}`
    expect(write!.errors.map((error) => error.code)).toEqual(
      safe(type) ? ['WORKER_LOST'] : ['OUTCOME_UNKNOWN', 'WORKER_LOST'],
    )
    const provider = handMadeProvider()
    await runLane(runnerWith(sql(), provider), laneId, turn())
    expect(provider.calls).toHaveLength(safe(type) ? 1 : 0)
    expect(await states(sql(), ids)).toEqual(Array(3).fill(safe(type) ? 'succeeded 2' : 'in_doubt 1'))
    expect(await readAttempts(sql(), [ids[0]!])).toMatchObject(
      safe(type)
        ? [
            { number: 1, decision: 'retry' },
            { number: 2, decision: 'succeeded' },
          ]
        : [{ number: 1, decision: 'in_doubt' }],
    )
  })

  it('with the answer in hand, before it is recorded: the same', async () => {
    const { laneId, ids } = await lane(type)
    const provider = handMadeProvider()
    // the claim, the pace, and then the recording
    await die(runnerWith(dyingAt(sql(), 3), provider), laneId)
    expect(provider.calls).toHaveLength(1)
    expect(await states(sql(), ids)).toEqual(Array(3).fill('sending 0'))
    await endLeases(sql())
    await sweeper().sweep()
    expect(await states(sql(), ids)).toEqual(Array(3).fill(safe(type) ? 'queued 1' : 'in_doubt 1'))
    await runLane(runnerWith(sql(), provider), laneId, turn())
    expect(provider.calls).toHaveLength(safe(type) ? 2 : 1)
  })

  it('and comes back to life when others have settled them: it changes nothing', async () => {
    const { laneId, ids } = await lane(type)
    const stale = heldProvider()
    const running = runLane(runnerWith(sql(), stale.provider), laneId, turn())
    await stale.called(1)
    await endLeases(sql())
    await sweeper().sweep()
    await runLane(runnerWith(sql(), handMadeProvider()), laneId, turn())
    const settled = safe(type) ? 'succeeded 2' : 'in_doubt 1'
    expect(await states(sql(), ids)).toEqual(Array(3).fill(settled))
    const rows = await sql()`select * from write where id = any (${ids}::uuid[]) order by id`
    const attempts = await readAttempts(sql(), [ids[0]!])
    stale.answer((group) => ({
      kind: 'refused',
      status: 400,
      errors: [{ code: 'STALE', message: 'of a worker that was given up', fields: [] }],
      errorClass: 'permanent',
      usage: { used: group.records.length, limit: 10 },
    }))
    await running
    expect([...(await sql()`select * from write where id = any (${ids}::uuid[]) order by id`)]).toEqual([
      ...rows,
    ])
    expect(await readAttempts(sql(), [ids[0]!])).toEqual(attempts)
  })
})

describe('a worker that was given up before it started', () => {
  it('does not send what is not its own any more', async () => {
    const { laneId, ids } = await lane('create')
    const provider = handMadeProvider()
    const rival = sweeper()
    // between its claim and its start, a pause longer than its lease
    const paused = atStart(sql(), async (start) => {
      await endLeases(sql())
      await rival.sweep()
      return start()
    })
    await runLane(runnerWith(paused, provider), laneId, turn())
    expect(provider.calls).toHaveLength(0)
    expect(await states(sql(), ids)).toEqual(Array(3).fill('queued 0'))
    await runLane(runnerWith(sql(), provider), laneId, turn())
    expect(provider.calls).toHaveLength(1)
  })
})

describe('a worker that does not learn whether its batch is marked as started', () => {
  it('gives it back, since nothing was sent: no create is in doubt for that', async () => {
    const { laneId, ids } = await lane('create')
    const provider = handMadeProvider()
    const lost = new Error('the answer was lost')
    const unlucky = atStart(sql(), async (start) => {
      await start()
      throw lost
    })
    await expect(runLane(runnerWith(unlucky, provider), laneId, turn())).rejects.toThrow(lost)
    expect(await states(sql(), ids)).toEqual(Array(3).fill('queued 0'))
    await runLane(runnerWith(sql(), provider), laneId, turn())
    expect(provider.calls).toHaveLength(1)
    expect(await states(sql(), ids)).toEqual(Array(3).fill('succeeded 1'))
  })
})

describe('several sweepers at once', () => {
  it.each(types)('rescue a lost batch of %ss once', async (type) => {
    const { laneId, ids } = await lane(type, 20)
    const held = heldProvider()
    const running = runLane(runnerWith(sql(), held.provider), laneId, turn())
    await held.called(1)
    await endLeases(sql())
    const all = Array.from({ length: 4 }, sweeper)
    await Promise.all(all.map((one) => one.sweep()))
    expect(await states(sql(), ids)).toEqual(Array(20).fill(safe(type) ? 'queued 1' : 'in_doubt 1'))
    const [count] = await sql()<{ count: number }[]>`
      select count(*)::int as count from attempt where write_id = any (${ids}::uuid[])`
    expect(count!.count).toBe(20)
    held.answer(allWritten)
    await running
  })
})
