import { describe, expect, it } from 'vitest'
import { runLane } from '../../src/batcher/run-lane.ts'
import { newId } from '../../src/kernel/ids.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import {
  addWrites,
  claim,
  expectLanesTrue,
  incoming,
  incomingBatch,
  laneIdOf,
  laneKey,
  settle,
} from '../support/queue-fixture.ts'
import { waitUntil } from '../support/wait-until.ts'
import { handMadeProvider, heldProvider, runnerWith, states, turn, type HandMadeProvider } from './fixture.ts'
import { answered, attemptsOf, inTurn, locked, lost, nowDatabase, written } from './now-fixture.ts'

const { sql, processes } = nowDatabase()

const updates = (part: Partial<LaneKey> = {}) => laneKey({ type: 'update', ...part })

/** Numbered writes to one record. */
const toRecord =
  (recordKey: string) =>
  (lane: LaneKey, number: number, delaySeconds = 3600) =>
    incoming(lane, { recordKey, delaySeconds, record: JSON.stringify({ number }) })

/** The numbers of the records in each call, in order. */
const sent = (provider: HandMadeProvider): number[][] =>
  provider.calls.map(({ group }) =>
    group.records.map((text) => (JSON.parse(text) as { number: number }).number),
  )

const started = (id: string) =>
  waitUntil(async () => (await states(sql(), [id]))[0]!.startsWith('sending'), {
    timeoutMs: 5_000,
    what: 'the call to be recorded',
  })

describe('a synchronous call behind earlier writes to its record', () => {
  it('sends what waits with an hour of delay first, in order, across lanes', async () => {
    const write = toRecord(newId())
    const lane = updates()
    const deletes = laneKey({ type: 'delete', installationId: lane.installationId })
    const earlier = [
      ...(await addWrites(sql(), [write(lane, 1)])),
      ...(await addWrites(sql(), [write(deletes, 2)])),
      ...(await addWrites(sql(), [write(lane, 3)])),
    ]
    const bystander = await addWrites(sql(), [toRecord(newId())(lane, 9)])
    const now = await processes.start()
    const own = write(lane, 4)
    expect(await now.send(own, 10_000)).toMatchObject({ kind: 'ended', records: [{ ok: true }] })
    expect(sent(now.provider)).toEqual([[1], [2], [3], [4]])
    expect(await states(sql(), [...earlier, own.writes[0].id, ...bystander])).toEqual([
      'succeeded 1',
      'succeeded 1',
      'succeeded 1',
      'succeeded 1',
      'queued 0',
    ])
    expect(await attemptsOf(sql(), earlier[1]!)).toEqual(['succeeded'])
    await expectLanesTrue(sql())
  })

  it('waits for one that is in flight, and sends what is behind that', async () => {
    const write = toRecord(newId())
    const lane = updates()
    const [first, second] = await addWrites(sql(), [write(lane, 1, 0), write(lane, 2)])
    const worker = heldProvider()
    const laneId = await laneIdOf(sql(), lane)
    const working = runLane(runnerWith(sql(), worker.provider), laneId, turn())
    await worker.called(1)
    const now = await processes.start()
    const own = write(lane, 3)
    const call = now.send(own, 10_000)
    await started(own.writes[0].id)
    expect(sent(now.provider)).toEqual([])
    worker.answer()
    expect(await call).toMatchObject({ kind: 'ended' })
    await working
    expect(sent(now.provider)).toEqual([[2], [3]])
    expect(await states(sql(), [first!, second!])).toEqual(['succeeded 1', 'succeeded 1'])
  })

  it('goes on when the one before it is heard of by no one', async () => {
    const write = toRecord(newId())
    const lane = updates()
    await addWrites(sql(), [write(lane, 1, 0)])
    const laneId = await laneIdOf(sql(), lane)
    const claimed = await claim(sql(), laneId)
    const silence = { ended: new Promise<boolean>(() => undefined), cancel: () => undefined }
    const now = await processes.start(undefined, { waiter: { wait: () => silence } })
    const own = write(lane, 2)
    const call = now.send(own, 10_000)
    await started(own.writes[0].id)
    await settle(sql(), claimed.batch!, () => ({}))
    expect(await call).toMatchObject({ kind: 'ended' })
  })

  it('tries an earlier write again that was sent back, before its own', async () => {
    const write = toRecord(newId())
    const lane = updates()
    const [earlier] = await addWrites(sql(), [write(lane, 1)])
    const now = await processes.start(inTurn(answered(locked), lost(), answered(written)))
    const own = write(lane, 2)
    expect(await now.send(own, 20_000)).toMatchObject({ kind: 'ended' })
    expect(sent(now.provider)).toEqual([[1], [1], [1], [2]])
    expect(await states(sql(), [earlier!, own.writes[0].id])).toEqual(['succeeded 3', 'succeeded 1'])
  })

  it('goes on when an earlier write has failed for good', async () => {
    const write = toRecord(newId())
    const lane = updates()
    const [earlier] = await addWrites(sql(), [write(lane, 1)])
    const refusedOnce = answered({ ok: false, errors: [], errorClass: 'permanent' })
    const now = await processes.start(inTurn(refusedOnce, answered(written)))
    expect(await now.send(write(lane, 2), 10_000)).toMatchObject({ kind: 'ended', records: [{ ok: true }] })
    expect(await states(sql(), [earlier!])).toEqual(['failed 1'])
  })

  it('is record_busy, failed and never sent, when they take all of its time', async () => {
    const write = toRecord(newId())
    const lane = updates()
    const [earlier] = await addWrites(sql(), [write(lane, 1, 0)])
    const worker = heldProvider()
    const laneId = await laneIdOf(sql(), lane)
    const working = runLane(runnerWith(sql(), worker.provider), laneId, turn())
    await worker.called(1)
    const now = await processes.start()
    const own = write(lane, 2)
    expect(await now.send(own, 300)).toEqual({ kind: 'record_busy' })
    expect(now.provider.calls).toEqual([])
    const [row] = await sql()`select state, attempts, errors from write where id = ${own.writes[0].id}`
    expect(row).toMatchObject({ state: 'failed', attempts: 0, errors: [{ code: 'RECORD_BUSY' }] })
    expect(await attemptsOf(sql(), own.writes[0].id)).toEqual([])
    worker.answer()
    await working
    expect(await states(sql(), [earlier!])).toEqual(['succeeded 1'])
    await expectLanesTrue(sql())
  })

  it('does not cut off an earlier write that it sends when its own time is over', async () => {
    const write = toRecord(newId())
    const lane = updates()
    const [earlier] = await addWrites(sql(), [write(lane, 1)])
    const held = heldProvider()
    const now = await processes.start(held.provider)
    expect(await now.send(write(lane, 2), 300)).toEqual({ kind: 'record_busy' })
    expect(await states(sql(), [earlier!])).toEqual(['sending 0'])
    held.answer()
    await waitUntil(async () => (await states(sql(), [earlier!]))[0] === 'succeeded 1', {
      timeoutMs: 5_000,
      what: 'the earlier write to be recorded',
    })
  })

  it('leaves no earlier write in flight when the process stops', async () => {
    const write = toRecord(newId())
    const lane = updates()
    const [earlier] = await addWrites(sql(), [write(lane, 1)])
    const called = Promise.withResolvers<undefined>()
    const now = await processes.start(({ options }) => {
      called.resolve(undefined)
      return new Promise((resolve) =>
        options.signal!.addEventListener('abort', () => resolve(lost('ABORTED')())),
      )
    })
    expect(await now.send(write(lane, 2), 300)).toEqual({ kind: 'record_busy' })
    await called.promise
    await now.stop(0)
    expect(await states(sql(), [earlier!])).toEqual(['queued 1'])
  })

  it('holds back later writes until it has ended, in whatever way', async () => {
    const write = toRecord(newId())
    const lane = updates()
    const held = heldProvider()
    const now = await processes.start(held.provider)
    const call = now.send(write(lane, 1), 10_000)
    await held.called(1)
    const [later] = await addWrites(sql(), [write(lane, 2, 0)])
    const laneId = await laneIdOf(sql(), lane)
    expect((await claim(sql(), laneId)).batch).toBeNull()
    held.answer(answered({ ok: false, errors: [], errorClass: 'permanent' }))
    await call
    expect((await claim(sql(), laneId)).batch!.members.map((member) => member.id)).toEqual([later])
  })

  it('takes a caller-built batch with allOrNone whole or not at all', async () => {
    const recordKey = newId()
    const write = toRecord(recordKey)
    const lane = updates({ allOrNone: true })
    const batch = incomingBatch(lane, [
      { recordKey, delaySeconds: 3600, record: '{"number":1}' },
      { recordKey: newId(), delaySeconds: 3600, record: '{"number":2}' },
    ])
    await addWrites(sql(), [batch])
    const now = await processes.start()
    expect(await now.send(write(updates({ installationId: lane.installationId }), 3), 10_000)).toMatchObject({
      kind: 'ended',
    })
    expect(sent(now.provider)).toEqual([[1, 2], [3]])
    expect(now.provider.calls[0]!.group.allOrNone).toBe(true)
  })

  it('sends what waits ahead of the records of a batch together', async () => {
    const keys = [newId(), newId(), newId()]
    const lane = updates()
    await addWrites(
      sql(),
      keys.slice(0, 2).map((recordKey, index) => toRecord(recordKey)(lane, index)),
    )
    const now = await processes.start()
    const own = incomingBatch(
      lane,
      keys.map((recordKey, index) => ({ recordKey, record: JSON.stringify({ number: 10 + index }) })),
    )
    expect(await now.send(own, 10_000)).toMatchObject({ kind: 'ended' })
    expect(sent(now.provider)).toEqual([
      [0, 1],
      [10, 11, 12],
    ])
  })

  it('sends what is to be merged as one', async () => {
    const write = toRecord(newId())
    const lane = updates({ merge: true })
    const earlier = await addWrites(sql(), [write(lane, 1), write(lane, 2)])
    const now = await processes.start()
    await now.send(write(updates({ installationId: lane.installationId }), 3), 10_000)
    expect(sent(now.provider)).toEqual([[2], [3]])
    expect(await states(sql(), earlier)).toEqual(['succeeded 1', 'succeeded 1'])
  })

  it('keeps the order in which many calls to one record were taken, one at a time', async () => {
    const write = toRecord(newId())
    const lane = updates()
    let open = 0
    let most = 0
    const provider = handMadeProvider(async () => {
      open += 1
      most = Math.max(most, open)
      await new Promise((resolve) => setImmediate(resolve))
      open -= 1
      return answered(written)()
    })
    const [one, two] = [await processes.start(provider), await processes.start(provider)]
    const calls = Array.from({ length: 20 }, (_, number) => write(lane, number))
    const outcomes = await Promise.all(calls.map((own, number) => (number % 2 ? one : two).send(own, 20_000)))
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(calls.map(() => 'ended'))
    expect(most).toBe(1)
    const order = await sql()<{ number: number }[]>`
      select (record::json->>'number')::int as number from write
      where installation_id = ${lane.installationId} order by seq`
    expect(sent(provider).flat()).toEqual(order.map((row) => row.number))
  })
})
