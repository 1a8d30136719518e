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

const found = (...ids: (string | null)[]): LookedUp => ({
  kind: 'found',
  matches: ids.map((id) => (id === null ? null : { id, raw: { Id: id } })),
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

describe('a process that is killed after it sent interactions', () => {
  it('leaves those without a key in doubt, and those with one to be looked up', async () => {
    const [plain, keyed] = [interactions(false), interactions()]
    for (const lane of [plain, keyed]) {
      const [id] = await addWrites(sql(), [submit(lane)])
      const { batch } = await claim(sql(), await laneIdOf(sql(), lane))
      await startBatches(sql(), [batch!.batchId], 60)
      await sweep()
      expect(await states(sql(), [id!])).toEqual([lane === plain ? 'in_doubt 1' : 'queued 1'])
      if (lane === plain) continue
      const provider = handMadeProvider(undefined, { lookUp: () => found('0hI1') })
      const laneId = await laneIdOf(sql(), lane)
      await makeDue(laneId)
      await runLane(runnerWith(sql(), provider), laneId, turn())
      expect(await states(sql(), [id!])).toEqual(['succeeded 2'])
      expect([provider.lookUps.length, provider.calls.length]).toEqual([1, 0])
      const [row] = await sql()`select record_id, created, lost_in from write where id = ${id!}`
      expect(row).toEqual({ record_id: '0hI1', created: true, lost_in: null })
    }
  })

  it('frees the next of the same key only once the first is settled', async () => {
    const lane = interactions()
    const key = newId()
    const [first, second] = await addWrites(sql(), [submit(lane, key), submit(lane, key)])
    const laneId = await laneIdOf(sql(), lane)
    const { batch } = await claim(sql(), laneId)
    expect(batch!.members.map(({ id }) => id)).toEqual([first])
    await startBatches(sql(), [batch!.batchId], 60)
    await sql()`update write set deadline_at = now() where id = ${first!}`
    await sweep()
    expect(await states(sql(), [first!, second!])).toEqual(['in_doubt 1', 'queued 0'])
    const provider = handMadeProvider()
    await runLane(runnerWith(sql(), provider), laneId, turn())
    expect(await states(sql(), [second!])).toEqual(['succeeded 1'])
    expect(provider.lookUps).toEqual([])
  })

  it('before a synchronous one was sent: it has failed, since its caller will have tried again', async () => {
    const own = submit(interactions())
    await insertSending(sql(), { submission: own, batchIds: [newId()], worker: 'gone', leaseSeconds: 60 })
    await sweep()
    expect(await states(sql(), [own.writes[0].id])).toEqual(['failed 0'])
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
      lookUp: ({ records }) =>
        records.length === 1
          ? found(null)
          : { kind: 'found', matches: [{ id: '0hI2', raw: {} }, null, 'unclear'] },
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
