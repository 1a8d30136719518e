import { afterEach, describe, expect, it } from 'vitest'
import { runLane } from '../../src/batcher/run-lane.ts'
import { startSweeper } from '../../src/batcher/sweeper.ts'
import { newId } from '../../src/kernel/ids.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { INTERACTION_KEY, INTERACTIONS, MAX_INTERACTIONS } from '../../src/model/engagement.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import type { LookedUp } from '../../src/providers/provider.ts'
import { insertSending } from '../../src/queue/insert-sending.ts'
import { startBatches } from '../../src/queue/start-batch.ts'
import { addWrites, claim, expectLanesTrue, incoming, laneIdOf, laneKey } from '../support/queue-fixture.ts'
import { endLeases, handMadeProvider, runnerWith, states, steppedClock, turn } from './fixture.ts'
import { inTurn, lost, nowDatabase, written, answered } from './now-fixture.ts'

const { sql, processes } = nowDatabase()

afterEach(async () => {
  expect([...(await sql()`select id from batch where state <> 'ended'`)]).toEqual([])
  await expectLanesTrue(sql())
})

const interactions = (isKeyed = true): LaneKey =>
  laneKey({ objectName: INTERACTIONS, externalIdField: isKeyed ? INTERACTION_KEY : null })

const recordOf = (key: string | null): string =>
  JSON.stringify({ engagementInteraction: key === null ? {} : { externalIdentifierId: key } })

const submit = (lane: LaneKey, recordKey = newId()) =>
  incoming(lane, {
    delaySeconds: 0,
    maxRecords: MAX_INTERACTIONS,
    recordKey: lane.externalIdField === null ? null : recordKey,
    record: recordOf(lane.externalIdField === null ? null : recordKey),
  })

/** What is there, by the ids of records; `other` and `unclear` as they are. */
const found = (...ids: (string | null)[]): LookedUp => ({
  kind: 'found',
  matches: ids.map((id) =>
    id === null || id === 'other' || id === 'unclear' ? id : { id, raw: { Id: id } },
  ),
  usage: null,
})

async function sweep(): Promise<void> {
  await endLeases(sql())
  const sweeper = startSweeper({
    sql: sql(),
    nudge: () => Promise.resolve(),
    clock: steppedClock(),
    logger: silentLogger,
    intervalMs: 60_000,
    random: () => 0,
  })
  await sweeper.stop()
}

const makeDue = async (laneId: string): Promise<void> => {
  await sql()`update write set available_at = now(), due_at = now() where lane_id = ${laneId} and state = 'queued'`
  await sql()`update lane set due_at = now() where id = ${laneId}`
}

const letTimePass = async (): Promise<void> => {
  await sql()`update batch set ended_at = ended_at - interval '11 minutes' where state = 'ended'`
}

/** Claims the next group of a lane, as a process that goes no further. */
async function claimNext(laneId: string, isStarted: boolean): Promise<string> {
  const { batch } = await claim(sql(), laneId)
  if (isStarted) await startBatches(sql(), [batch!.batchId], 60)
  return batch!.batchId
}

/** Lets a worker that lives run the lane until a write has ended; what it asked of the provider. */
async function runOn(laneId: string, id: string, ...ids: (string | null)[]) {
  const provider = handMadeProvider(undefined, { lookUp: () => found(...ids) })
  await makeDue(laneId)
  await runLane(runnerWith(sql(), provider), laneId, turn())
  const [row] = await sql()`select state, record_id, created, lost_in from write where id = ${id}`
  return { ...row, asked: [provider.lookUps.length, provider.calls.length] }
}

const isFound = { state: 'succeeded', record_id: '0hI1', created: true, lost_in: null, asked: [1, 0] }

describe('a process that is killed', () => {
  const queued = async (isKeyed: boolean) => {
    const lane = interactions(isKeyed)
    const [id] = await addWrites(sql(), [submit(lane)])
    return { id: id!, laneId: await laneIdOf(sql(), lane) }
  }

  it('before it sent interactions leaves them as they were', async () => {
    for (const isKeyed of [false, true]) {
      const { id, laneId } = await queued(isKeyed)
      await claimNext(laneId, false)
      await sweep()
      expect(await states(sql(), [id])).toEqual(['queued 0'])
      expect(await runOn(laneId, id, '0hI1')).toMatchObject({ state: 'succeeded', asked: [0, 1] })
    }
  })

  it('after it sent them leaves those without a key in doubt, and those with one to be looked up', async () => {
    const plain = await queued(false)
    await claimNext(plain.laneId, true)
    await sweep()
    expect(await states(sql(), [plain.id])).toEqual(['in_doubt 1'])
    const keyed = await queued(true)
    await claimNext(keyed.laneId, true)
    await sweep()
    expect(await states(sql(), [keyed.id])).toEqual(['queued 1'])
    expect(await runOn(keyed.laneId, keyed.id, '0hI1')).toEqual(isFound)
  })

  it('while it looked them up leaves them to be looked up again', async () => {
    const { id, laneId } = await queued(true)
    for (const tries of [1, 2]) {
      await claimNext(laneId, true)
      await sweep()
      expect(await states(sql(), [id])).toEqual([`queued ${tries}`])
      await makeDue(laneId)
    }
    expect(await runOn(laneId, id, '0hI1')).toEqual(isFound)
  })

  it.each([
    [
      'before it sent one of a synchronous call: it has failed, since its caller will have tried again',
      false,
    ],
    ['after it sent one of a synchronous call: that is looked up', true],
  ])('%s', async (_, isStarted) => {
    const own = submit(interactions())
    const { id } = own.writes[0]
    const batchId = newId()
    await insertSending(sql(), { submission: own, batchIds: [batchId], worker: 'gone', leaseSeconds: 60 })
    if (isStarted) await startBatches(sql(), [batchId], 60)
    await sweep()
    expect(await states(sql(), [id])).toEqual([isStarted ? 'queued 1' : 'failed 0'])
    if (isStarted) expect(await runOn(await laneIdOf(sql(), own.lane), id, '0hI1')).toEqual(isFound)
  })

  it('frees the next of the same key only once the first is settled', async () => {
    const lane = interactions()
    const key = newId()
    const [first, second] = await addWrites(sql(), [submit(lane, key), submit(lane, key)])
    const laneId = await laneIdOf(sql(), lane)
    await claimNext(laneId, true)
    await sql()`update write set deadline_at = now() where id = ${first!}`
    await sweep()
    expect(await states(sql(), [first!, second!])).toEqual(['in_doubt 1', 'queued 0'])
    const provider = handMadeProvider()
    await runLane(runnerWith(sql(), provider), laneId, turn())
    expect(await states(sql(), [second!])).toEqual(['succeeded 1'])
    expect(provider.lookUps).toEqual([])
  })
})

describe('a look-up', () => {
  /** Interactions of a lane after the answer to their first try was lost. */
  async function lose(count: number): Promise<{ laneId: string; ids: string[] }> {
    const lane = interactions()
    const ids = await addWrites(
      sql(),
      Array.from({ length: count }, () => submit(lane)),
    )
    const laneId = await laneIdOf(sql(), lane)
    await runLane(runnerWith(sql(), handMadeProvider(lost())), laneId, turn())
    expect(await states(sql(), ids)).toEqual(ids.map(() => 'queued 1'))
    await makeDue(laneId)
    return { laneId, ids }
  }

  it('of a group is one, and only what it does not hold back is sent', async () => {
    const { laneId, ids } = await lose(3)
    const provider = handMadeProvider(undefined, {
      lookUp: ({ records }) => (records.length === 1 ? found(null) : found('0hI2', null, 'unclear')),
    })
    await runLane(runnerWith(sql(), provider), laneId, turn())
    expect(await states(sql(), ids)).toEqual(['succeeded 2', 'queued 2', 'in_doubt 2'])
    expect([provider.lookUps.map(({ records }) => records.length), provider.calls.length]).toEqual([[3], 0])
    await letTimePass()
    await makeDue(laneId)
    await runLane(runnerWith(sql(), provider), laneId, turn())
    expect(await states(sql(), ids)).toEqual(['succeeded 2', 'succeeded 3', 'in_doubt 2'])
    expect(
      provider.calls.map(({ group }) => [group.type, group.externalIdField, group.records.length]),
    ).toEqual([['create', null, 1]])
  })

  it('takes no record that was there before the write was sent, or is another write’s', async () => {
    const lane = interactions()
    const key = newId()
    const [before] = await addWrites(sql(), [submit(lane, key)])
    const laneId = await laneIdOf(sql(), lane)
    await runLane(runnerWith(sql(), handMadeProvider()), laneId, turn())
    const [id] = await addWrites(sql(), [submit(lane, key)])
    // It has waited long before it was sent.
    await sql()`update write set accepted_at = accepted_at - interval '1 hour' where id = ${id!}`
    const sentAt = Date.now()
    await runLane(runnerWith(sql(), handMadeProvider(lost())), laneId, turn())
    const [row] = await sql()<{ record_id: string }[]>`select record_id from write where id = ${before!}`
    const provider = handMadeProvider(undefined, { lookUp: () => found('other') })
    const looked = async (): Promise<string> => {
      await makeDue(laneId)
      await runLane(runnerWith(sql(), provider), laneId, turn())
      return (await states(sql(), [id!]))[0]!
    }
    expect(await looked()).toBe('queued 2')
    const [sought] = provider.lookUps[0]!.records
    expect(sought).toMatchObject({ text: recordOf(key), others: [row!.record_id] })
    expect(Math.abs(sought!.since - sentAt)).toBeLessThan(2_000)
    await letTimePass()
    expect(await looked()).toBe('in_doubt 3')
    expect(provider.calls).toEqual([])
    const [ended] = await sql()<
      { errors: { message: string }[] }[]
    >`select errors from write where id = ${id!}`
    expect(ended!.errors.map(({ message }) => message).join()).toContain('an earlier one or another write’s')
  })

  it('that cannot be made now leaves all of its group unsent, however often', async () => {
    const { laneId, ids } = await lose(2)
    const refusal: LookedUp = {
      kind: 'refused',
      status: 400,
      errors: [{ code: 'QUERY_TIMEOUT', message: 'slow', fields: [] }],
      errorClass: 'transient',
      maxRetries: 3,
      usage: null,
    }
    const provider = handMadeProvider(undefined, { lookUp: () => refusal })
    for (let round = 0; round < 5; round += 1) {
      await runLane(runnerWith(sql(), provider), laneId, turn())
      await makeDue(laneId)
    }
    expect(await states(sql(), ids)).toEqual(['queued 6', 'queued 6'])
    expect(provider.calls).toEqual([])
    await runLane(
      runnerWith(sql(), handMadeProvider(undefined, { lookUp: () => found('a', 'b') })),
      laneId,
      turn(),
    )
    expect(await states(sql(), ids)).toEqual(['succeeded 7', 'succeeded 7'])
  })

  it('is made in a synchronous call’s time, and finds what its own try wrote', async () => {
    const provider = handMadeProvider(inTurn(lost(), answered(written)), {
      lookUp: () => found(null),
    })
    let looks = 0
    const seeing = handMadeProvider(inTurn(lost(), answered(written)), {
      lookUp: () => found((looks += 1) < 3 ? null : '0hI3'),
    })
    const now = await processes.start(seeing)
    const own = submit(interactions())
    const outcome = await now.send(own, 20_000)
    expect(outcome).toEqual({
      kind: 'ended',
      records: [{ ok: true, recordId: '0hI3', created: true, data: { Id: '0hI3' } }],
    })
    expect([seeing.calls.length, looks]).toEqual([1, 3])

    const never = await processes.start(provider)
    const other = submit(interactions())
    expect(await never.send(other, 1_500)).toMatchObject({ kind: 'still_trying' })
    expect(provider.calls.length).toBe(1)
    expect((await states(sql(), [other.writes[0].id]))[0]).toMatch(/^queued/)
  })
})
