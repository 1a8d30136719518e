import { describe, expect, it } from 'vitest'
import { runLane } from '../../src/batcher/run-lane.ts'
import { createSendNow } from '../../src/batcher/send-now.ts'
import { startSweeper } from '../../src/batcher/sweeper.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { newId } from '../../src/kernel/ids.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import {
  addWrites,
  expectLanesTrue,
  incoming,
  incomingBatch,
  laneIdOf,
  laneKey,
} from '../support/queue-fixture.ts'
import { waitUntil } from '../support/wait-until.ts'
import { endLeases, handMadeProvider, heldProvider, runnerWith, states, turn } from './fixture.ts'
import {
  answered,
  inTurn,
  locked,
  lost,
  notSent,
  nowDatabase,
  refused,
  silent,
  written,
} from './now-fixture.ts'

const { sql, processes } = nowDatabase()

/** A queued write that is due in an hour. */
async function queued(key: LaneKey = laneKey(), part: Parameters<typeof incoming>[1] = {}) {
  const [id] = await addWrites(sql(), [incoming(key, part)])
  return { id: id!, key, projectId: key.projectId }
}

describe('a promoted write', () => {
  it('is sent at once, once, and recorded, with its lane as it should be', async () => {
    const { id, key, projectId } = await queued()
    const others = await addWrites(sql(), [incoming(key), incoming(key)])
    const now = await processes.start(answered(written))
    expect(await now.promote(projectId, id, 5_000)).toMatchObject({
      kind: 'sent',
      outcome: { kind: 'ended', records: [{ ok: true, recordId: '003000000000001', data: { id: 'raw' } }] },
      written: { isBatch: false, type: 'create' },
    })
    expect(now.provider.calls).toHaveLength(1)
    expect(await states(sql(), [id, ...others])).toEqual(['succeeded 1', 'queued 0', 'queued 0'])
    await expectLanesTrue(sql())
  })

  it('is refused with its state when it is being sent or has ended, and is none of another project', async () => {
    const { id, key, projectId } = await queued(laneKey(), { delaySeconds: 0 })
    const held = heldProvider()
    const running = runLane(runnerWith(sql(), held.provider), await laneIdOf(sql(), key), turn())
    await held.called(1)
    const now = await processes.start()
    expect(await now.promote(projectId, id, 5_000)).toEqual({ kind: 'refused', state: 'sending' })
    held.answer()
    await running
    expect(await now.promote(projectId, id, 5_000)).toEqual({ kind: 'refused', state: 'succeeded' })
    expect(await now.promote(newId(), id, 5_000)).toEqual({ kind: 'not_found' })
    expect(await now.promote(projectId, newId(), 5_000)).toEqual({ kind: 'not_found' })
    expect(now.provider.calls).toEqual([])
  })

  it('sends what was accepted before it first, and leaves what came after', async () => {
    const key = laneKey({ type: 'update' })
    const recordKey = newId()
    const add = async (number: number): Promise<string> =>
      (await queued(key, { recordKey, record: JSON.stringify({ number }) })).id
    const ids = [await add(1), await add(2), await add(3), await add(4)]
    const now = await processes.start()
    await now.promote(key.projectId, ids[2]!, 10_000)
    expect(now.provider.calls.map(({ group }) => group.records)).toEqual([
      ['{"number":1}'],
      ['{"number":2}'],
      ['{"number":3}'],
    ])
    expect(await states(sql(), ids)).toEqual(['succeeded 1', 'succeeded 1', 'succeeded 1', 'queued 0'])
    await expectLanesTrue(sql())
  })

  it('of a batch is the whole batch', async () => {
    const batch = incomingBatch(laneKey({ allOrNone: true }), [{}, {}, {}])
    const ids = await addWrites(sql(), [batch])
    const now = await processes.start(answered(written, written, written))
    const promoted = await now.promote(batch.lane.projectId, batch.operation.id, 5_000)
    expect(promoted).toMatchObject({ kind: 'sent', written: { isBatch: true, records: { length: 3 } } })
    expect(await states(sql(), ids)).toEqual(Array(3).fill('succeeded 1'))
    // the writes of a batch are no operations by themselves
    expect(await now.promote(batch.lane.projectId, ids[0]!, 5_000)).toEqual({ kind: 'not_found' })
  })

  it('that the org refuses has failed', async () => {
    const { id, projectId } = await queued()
    const now = await processes.start(answered(refused))
    expect(await now.promote(projectId, id, 5_000)).toMatchObject({
      outcome: { kind: 'ended', records: [{ ok: false, errors: [{ code: 'REQUIRED_FIELD_MISSING' }] }] },
    })
    expect(await states(sql(), [id])).toEqual(['failed 1'])
  })

  it.each([
    ['the provider is not reached', notSent, 'queued 0'],
    ['its record stays locked', answered(locked), 'queued 1'],
  ])('goes back into the queue when %s', async (_, answer, state) => {
    const { id, projectId } = await queued()
    const now = await processes.start(answer)
    expect(await now.promote(projectId, id, 300)).toMatchObject({ outcome: { kind: 'still_trying' } })
    const [after] = await states(sql(), [id])
    expect(after!.split(' ')[0]).toBe(state.split(' ')[0])
    await expectLanesTrue(sql())
  })

  it('goes back into the queue, behind what it waited for, when that took all the time', async () => {
    const key = laneKey({ type: 'update' })
    const recordKey = newId()
    const first = await queued(key, { recordKey, delaySeconds: 0 })
    const held = heldProvider()
    const running = runLane(runnerWith(sql(), held.provider), await laneIdOf(sql(), key), turn())
    await held.called(1)
    const { id, projectId } = await queued(key, { recordKey })
    const now = await processes.start()
    expect(await now.promote(projectId, id, 200)).toMatchObject({ outcome: { kind: 'still_trying' } })
    expect(now.provider.calls).toEqual([])
    expect(await states(sql(), [first.id, id])).toEqual(['sending 0', 'queued 0'])
    const [row] = await sql()<{ blocked: boolean }[]>`select blocked from write where id = ${id}`
    expect(row!.blocked).toBe(true)
    held.answer()
    await running
    await expectLanesTrue(sql())
  })

  it('is in doubt when its answer is lost, unless it may be sent again', async () => {
    const plain = await queued()
    const now = await processes.start(inTurn(lost(), silent))
    expect(await now.promote(plain.projectId, plain.id, 1_000)).toMatchObject({
      outcome: { kind: 'unknown', because: 'cut_off' },
    })
    expect(await states(sql(), [plain.id])).toEqual(['in_doubt 1'])
    const update = await queued(laneKey({ type: 'update' }), { recordKey: newId() })
    const again = await processes.start(lost())
    expect(await again.promote(update.projectId, update.id, 300)).toMatchObject({
      outcome: { kind: 'still_trying' },
    })
    expect((await states(sql(), [update.id]))[0]).toMatch(/^queued/)
  })

  it('goes back into the queue when the process dies before it sent it', async () => {
    const { id, projectId } = await queued()
    const claimed = Promise.withResolvers<undefined>()
    const dead = new Proxy(sql(), {
      apply: (target, self, args): unknown => {
        const [text] = args as [TemplateStringsArray]
        if (!text.join('').includes(`set state = 'started'`)) return Reflect.apply(target, self, args)
        claimed.resolve(undefined)
        return new Promise(() => undefined)
      },
    })
    // It never answers, so nobody waits for its end.
    const waiter = { wait: () => ({ ended: new Promise<boolean>(() => undefined), cancel: () => undefined }) }
    const now = createSendNow({ ...runnerWith(dead, handMadeProvider()), waiter })
    void now.promote(projectId, id, 600_000).catch(() => undefined)
    await claimed.promise
    await endLeases(sql())
    const sweeper = startSweeper({
      sql: sql(),
      nudge: () => Promise.resolve(),
      clock: systemClock,
      logger: silentLogger,
      intervalMs: 3_600_000,
      random: () => 0,
    })
    await sweeper.sweep()
    await sweeper.stop()
    expect(await states(sql(), [id])).toEqual(['queued 0'])
    await expectLanesTrue(sql())
  })
})

describe('promotions that race the batcher', () => {
  it('send each write exactly once, whoever wins', async () => {
    const key = laneKey()
    const rounds = 1_000
    const width = 25
    const provider = handMadeProvider()
    const now = await processes.start(provider)
    let refusals = 0
    for (let round = 0; round < rounds; round += width) {
      const ids = await addWrites(
        sql(),
        Array.from({ length: width }, (_, index) =>
          incoming(key, { delaySeconds: 0, record: JSON.stringify({ n: round + index }) }),
        ),
      )
      const laneId = await laneIdOf(sql(), key)
      const running = runLane(runnerWith(sql(), provider), laneId, turn())
      // Some begin with the batcher, some a few round trips later.
      const results = await Promise.all(
        ids.map(async (id, index) => {
          for (let trip = 0; trip < index % 6; trip += 1) await sql()`select 1`
          return now.promote(key.projectId, id, 10_000)
        }),
      )
      await running
      refusals += results.filter((result) => result.kind === 'refused').length
      await waitUntil(async () => (await states(sql(), ids)).every((state) => state === 'succeeded 1'), {
        timeoutMs: 10_000,
        what: 'every write to have ended',
      })
    }
    const sent = provider.calls.flatMap(({ group }) => group.records)
    expect(sent).toHaveLength(rounds)
    expect(new Set(sent).size).toBe(rounds)
    // both sides won some
    expect(refusals).toBeGreaterThan(0)
    expect(refusals).toBeLessThan(rounds)
    await expectLanesTrue(sql())
  }, 60_000)
})
