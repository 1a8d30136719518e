import { describe, expect, it } from 'vitest'
import { startSweeper } from '../../src/batcher/sweeper.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import type { NowOutcome } from '../../src/model/now-outcome.ts'
import type { CallAnswer } from '../../src/model/outcome.ts'
import { newId } from '../../src/kernel/ids.ts'
import { insertSending } from '../../src/queue/insert-sending.ts'
import { expectLanesTrue, incoming, incomingBatch, laneKey, settle } from '../support/queue-fixture.ts'
import { waitUntil } from '../support/wait-until.ts'
import { allWritten, endLeases, heldProvider, states, steppedClock, type ProviderCall } from './fixture.ts'
import { answered, locked, lost, nowDatabase, refusal, silent } from './now-fixture.ts'

const { sql, processes } = nowDatabase()

/** A batch that takes two calls: 1,000 records, and two more. */
const many = (type: 'create' | 'update') =>
  incomingBatch(
    laneKey({ type }),
    Array.from({ length: 1_002 }, (_, at) => ({
      record: `{"n":${at}}`,
      recordKey: type === 'create' ? null : newId(),
    })),
  )

const isSecond = ({ group }: ProviderCall): boolean => group.records.includes('{"n":1001}')

/** The states and attempts of the first and the last record of each of the two calls. */
async function ends(submission: ReturnType<typeof many>): Promise<string[]> {
  await expectLanesTrue(sql())
  const ids = submission.writes.map(({ id }) => id)
  const all = await states(
    sql(),
    [0, 999, 1_000, 1_001].map((at) => ids[at]!),
  )
  return all
}

const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value)

const recordsOf = (outcome: NowOutcome) => (outcome.kind === 'ended' ? outcome.records : [])

async function sweep(): Promise<void> {
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

describe('a synchronous batch of more records than one call takes', () => {
  it('goes in calls of five groups of 200, one after the other', async () => {
    const now = await processes.start()
    const submission = many('create')
    const outcome = await now.send(submission, 10_000)
    const byCall = Map.groupBy(now.provider.calls, ({ call }) => call)
    const sizes = [...byCall.values()].map((calls) => calls.map(({ group }) => group.records.length))
    expect(sizes).toEqual([Array(5).fill(200), [2]])
    expect(recordsOf(outcome).filter(({ ok }) => ok)).toHaveLength(1_002)
    const sent = now.provider.calls.flatMap(({ group }) => group.records)
    expect(sent).toEqual(submission.writes.map(({ record }) => record))
  })

  it('records what the first call wrote before the second is made', async () => {
    const held = heldProvider()
    const now = await processes.start(held.provider)
    const submission = many('create')
    const call = now.send(submission, 10_000)
    await held.called(5)
    for (let group = 0; group < 5; group += 1) held.answer()
    await held.called(6)
    expect(await ends(submission)).toEqual(['succeeded 1', 'succeeded 1', 'sending 0', 'sending 0'])
    held.answer()
    expect((await call).kind).toBe('ended')
  })

  it.each([
    ['creates fail that were not sent', 'create', 'ended', ['failed 0', 'failed 0']],
    ['updates are left to the queue', 'update', 'still_trying', ['queued 0', 'queued 0']],
  ] as const)('when its time ends between two calls, %s', async (_, type, kind, states) => {
    const answer = async (call: ProviderCall): Promise<CallAnswer> => {
      // So late that nothing can be begun any more, and well in time all the same.
      await new Promise((resolve) => setTimeout(resolve, call.options.timeoutMs - 400))
      return allWritten(call.group)
    }
    const now = await processes.start(answer)
    const submission = many(type)
    const outcome = await now.send(submission, 2_000)
    expect(outcome.kind).toBe(kind)
    expect(now.provider.calls).toHaveLength(5)
    expect(await ends(submission)).toEqual(['succeeded 1', 'succeeded 1', ...states])
    if (kind === 'ended') {
      const told = recordsOf(outcome)
      expect(told.slice(0, 1_000).every(({ ok }) => ok)).toBe(true)
      expect(told.slice(1_000)).toMatchObject(Array(2).fill({ ok: false, errors: [{ code: 'TIMEOUT' }] }))
    }
  })

  it('is in doubt where an answer was lost, and only there; updates go again', async () => {
    const now = await processes.start((call) => (isSecond(call) ? lost()() : allWritten(call.group)))
    const creates = many('create')
    expect(await now.send(creates, 10_000)).toMatchObject({ kind: 'unknown', because: 'cut_off' })
    expect(await ends(creates)).toEqual(['succeeded 1', 'succeeded 1', 'in_doubt 1', 'in_doubt 1'])
    let isLost = true
    const again = await processes.start((call) => {
      if (!isSecond(call) || !isLost) return allWritten(call.group)
      isLost = false
      return lost()()
    })
    const updates = many('update')
    expect((await again.send(updates, 10_000)).kind).toBe('ended')
    expect(await ends(updates)).toEqual(['succeeded 1', 'succeeded 1', 'succeeded 2', 'succeeded 2'])
  })

  it('says that no answer came in time when none did', async () => {
    const answer = (call: ProviderCall) => (isSecond(call) ? silent(call) : allWritten(call.group))
    const now = await processes.start(answer, { callTimeoutMs: 200 })
    const submission = many('create')
    expect(await now.send(submission, 20_000)).toMatchObject({ kind: 'unknown', because: 'timeout' })
  })

  it('does not keep the second call waiting for a further try of the first', async () => {
    let isLocked = true
    const now = await processes.start((call) => {
      const answers = allWritten(call.group)
      if (answers.kind !== 'answered' || !isLocked) return answers
      isLocked = false
      return { ...answers, records: [locked, ...answers.records.slice(1)] }
    })
    const submission = many('create')
    expect((await now.send(submission, 10_000)).kind).toBe('ended')
    expect(now.provider.calls.map(({ group }) => group.records.length)).toEqual([...times(5, 200), 2, 1])
    expect(await ends(submission)).toEqual(['succeeded 2', 'succeeded 1', 'succeeded 1', 'succeeded 1'])
  })

  it('goes in smaller requests where the org’s own code took no more at once', async () => {
    const tooMuch = { ...locked, cause: 'apex_limit' as const }
    const now = await processes.start((call) => {
      const { length } = call.group.records
      return length > 50 ? answered(...Array<typeof tooMuch>(length).fill(tooMuch))() : allWritten(call.group)
    })
    const submission = many('create')
    const outcome = await now.send(submission, 10_000)
    expect(recordsOf(outcome).filter(({ ok }) => ok)).toHaveLength(1_002)
    const sizes = now.provider.calls.map(({ group }) => group.records.length)
    expect(sizes).toEqual([...times(5, 200), 2, ...times(20, 50)])
  })

  it('ends at once where the calls of the day are used up, and has written what it had', async () => {
    const daily = refusal({ throttle: 'daily' })
    const now = await processes.start((call) => (isSecond(call) ? daily() : allWritten(call.group)))
    const submission = many('create')
    expect((await now.send(submission, 10_000)).kind).toBe('ended')
    expect(await ends(submission)).toEqual(['succeeded 1', 'succeeded 1', 'failed 0', 'failed 0'])
  })

  it('learns of a limit of the org from whichever request met it', async () => {
    await sql()`delete from org_usage`
    let isMet = false
    const seen: unknown[] = []
    const now = await processes.start(async (call) => {
      if (isSecond(call))
        seen.push(...(await sql()`select blocked_at is not null as "isBlocked" from org_usage`))
      if (isMet || call.group.records[0] !== '{"n":200}') return allWritten(call.group)
      isMet = true
      return refusal({ throttle: 'daily' })()
    })
    expect((await now.send(many('create'), 10_000)).kind).toBe('ended')
    expect(seen).toEqual([{ isBlocked: true }])
  })

  it('whose process is lost between two calls has what was recorded; what was not sent has failed', async () => {
    const held = heldProvider()
    const now = await processes.start(held.provider)
    const submission = many('create')
    const call = now.send(submission, 10_000)
    await held.called(5)
    const startedOnes = await sql()<{ state: string }[]>`
      select state from batch where lane_id = (select id from lane where operation_id = ${submission.operation.id})
      order by id`
    expect(startedOnes.map(({ state }) => state)).toEqual(['started', 'claimed'])
    for (let group = 0; group < 5; group += 1) held.answer()
    await held.called(6)
    await sql()`update batch set state = 'claimed', started_at = null where state = 'started'`
    await endLeases(sql())
    await sweep()
    expect(await ends(submission)).toEqual(['succeeded 1', 'succeeded 1', 'failed 0', 'failed 0'])
    held.answer()
    const outcome = await call
    expect(recordsOf(outcome).map(({ ok }) => ok)).toEqual([
      ...Array<boolean>(1_000).fill(true),
      false,
      false,
    ])
  })

  it('has failed as a whole, and was not sent, when an earlier write to one of its records took all the time', async () => {
    const lane = laneKey({ type: 'update' })
    const recordKey = newId()
    const earlier = incoming(lane, { recordKey })
    const claim = { batchIds: [newId()], worker: 'other', leaseSeconds: 60 }
    const [before] = await insertSending(sql(), { submission: earlier, ...claim })
    const now = await processes.start()
    const submission = incomingBatch(
      lane,
      Array.from({ length: 1_002 }, (_, at) => ({ recordKey: at === 1_001 ? recordKey : newId() })),
    )
    expect(await now.send(submission, 1_000)).toEqual({ kind: 'record_busy' })
    expect(now.provider.calls).toEqual([])
    expect(await ends(submission)).toEqual(times(4, 'failed 0'))
    await settle(sql(), before!, () => ({}))
  })

  it('keeps its leases until each of its batches has ended', async () => {
    const held = heldProvider()
    const now = await processes.start(held.provider, { leaseSeconds: 2 })
    const submission = many('create')
    const call = now.send(submission, 20_000)
    await held.called(5)
    const leases = async () =>
      (
        await sql()<{ at: Date }[]>`select lease_until as at from batch where state <> 'ended' order by id`
      ).map(({ at }) => at.getTime())
    const before = await leases()
    await waitUntil(async () => (await leases()).every((at, index) => at > before[index]!), {
      timeoutMs: 10_000,
      what: 'both leases to be kept',
    })
    for (let group = 0; group < 5; group += 1) held.answer()
    await held.called(6)
    held.answer()
    expect((await call).kind).toBe('ended')
  })

  it('keeps one answer for its key, of all its records', async () => {
    const now = await processes.start((call) =>
      isSecond(call) ? answered(locked, locked)() : allWritten(call.group),
    )
    const submission = many('create')
    const told: NowOutcome[] = []
    const key = {
      text: newId(),
      requestHash: Buffer.alloc(32),
      answerTo: (outcome: NowOutcome) => {
        told.push(outcome)
        return { status: 200, body: JSON.stringify(recordsOf(outcome).length) }
      },
    }
    const outcome = await now.send({ ...submission, key }, 1_500)
    expect(recordsOf(outcome)).toHaveLength(1_002)
    expect(told.at(-1)).toEqual(outcome)
    const [kept] = await sql()<
      { answer: string }[]
    >`select answer from idempotency_key where key = ${key.text}`
    expect(kept!.answer).toBe('1002')
  })
})
