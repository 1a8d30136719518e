import { describe, expect, it } from 'vitest'
import type { LaneKey } from '../../src/model/lane.ts'
import { claim, expectLanesTrue, incomingBatch, laneKey } from '../support/queue-fixture.ts'
import { states } from './fixture.ts'
import {
  ambiguous,
  answered,
  attemptsOf,
  batchesOf,
  inTurn,
  locked,
  lost,
  nowDatabase,
  refused,
  rolledBack,
  written,
} from './now-fixture.ts'

const { sql, processes } = nowDatabase()

const three = ['a', 'b', 'c'].map((name) => ({ record: JSON.stringify({ LastName: name }) }))

async function send(lane: LaneKey, answer: Parameters<typeof processes.start>[0], timeMs = 1_000) {
  const now = await processes.start(answer)
  const submission = incomingBatch(lane, three)
  const ids = submission.writes.map((write) => write.id)
  const outcome = await now.send(submission, timeMs)
  await expectLanesTrue(sql())
  const sent = now.provider.calls.map(({ group }) =>
    group.records.map((text) => (JSON.parse(text) as { LastName: string }).LastName),
  )
  return { ids, outcome, sent, states: await states(sql(), ids), operationId: submission.operation.id }
}

const fails = (one: { errors: unknown; raw?: unknown }) => ({ ok: false, errors: one.errors, raw: one.raw })

describe('a synchronous batch', () => {
  it('answers for each record in the order of the call, and sends again only what can pass', async () => {
    const lane = laneKey()
    const answer = inTurn(answered(locked, refused, written), answered(written))
    const result = await send(lane, answer, 10_000)
    expect(result.sent).toEqual([['a', 'b', 'c'], ['a']])
    expect(result.outcome).toMatchObject({
      kind: 'ended',
      records: [{ ok: true }, fails(refused), { ok: true }],
    })
    expect(result.states).toEqual(['succeeded 2', 'failed 1', 'succeeded 1'])
    expect(await attemptsOf(sql(), result.ids[0]!)).toEqual(['retry UNABLE_TO_LOCK_ROW', 'succeeded'])
    expect(await batchesOf(sql(), lane.installationId)).toEqual(['now ended answered', 'now ended answered'])
  })

  it('keeps the place of each record through tries of fewer and fewer', async () => {
    const other = { ...written, recordId: 'second' }
    const answer = inTurn(answered(locked, written, locked), answered(refused, locked), answered(other))
    const result = await send(laneKey(), answer, 10_000)
    expect(result.sent).toEqual([['a', 'b', 'c'], ['a', 'c'], ['c']])
    expect(result.outcome).toMatchObject({
      records: [fails(refused), { ok: true, recordId: written.recordId }, { ok: true, recordId: 'second' }],
    })
    expect(result.states).toEqual(['failed 2', 'succeeded 1', 'succeeded 3'])
  })

  it('is unknown when any record is in doubt, whatever became of the others since', async () => {
    const result = await send(
      laneKey(),
      inTurn(answered(ambiguous, locked, written), answered(written)),
      10_000,
    )
    expect(result.sent).toEqual([['a', 'b', 'c'], ['b']])
    expect(result.outcome).toMatchObject({ kind: 'unknown', because: 'cut_off' })
    expect(result.states).toEqual(['in_doubt 1', 'succeeded 2', 'succeeded 1'])
  })

  it('leaves to the queue what is safe and could not be written in time', async () => {
    const lane = laneKey({ type: 'update' })
    const result = await send(lane, inTurn(answered(written, locked, refused), answered(locked)))
    expect(result.outcome).toEqual({ kind: 'still_trying', reason: 'UNABLE_TO_LOCK_ROW it says' })
    expect(result.states).toEqual(['succeeded 1', 'queued 2', 'failed 1'])
    await sql()`update write set available_at = now(), due_at = now() where id = ${result.ids[1]!}`
    const [row] = await sql()<
      { id: string }[]
    >`select id from lane where operation_id = ${result.operationId}`
    const next = await claim(sql(), row!.id)
    expect(next.batch!.members.map((member) => member.id)).toEqual([result.ids[1]])
  })

  it('has failed with what each record was told when plain creates were locked to the end', async () => {
    const result = await send(laneKey(), inTurn(answered(written, locked, refused), answered(locked)))
    expect(result.outcome).toMatchObject({
      kind: 'ended',
      records: [{ ok: true }, fails(locked), fails(refused)],
    })
    expect(result.states).toEqual(['succeeded 1', 'failed 2', 'failed 1'])
  })
})

describe('a synchronous batch with allOrNone', () => {
  const lane = (part: Partial<LaneKey> = {}) => laneKey({ allOrNone: true, ...part })

  it('goes again as a whole while its offender can pass', async () => {
    const answer = inTurn(answered(rolledBack, locked, rolledBack), answered(written, written, written))
    const result = await send(lane(), answer, 10_000)
    expect(result.sent).toEqual([
      ['a', 'b', 'c'],
      ['a', 'b', 'c'],
    ])
    expect(result.outcome).toMatchObject({
      kind: 'ended',
      records: [{ ok: true }, { ok: true }, { ok: true }],
    })
    expect(result.states).toEqual(['succeeded 2', 'succeeded 2', 'succeeded 2'])
  })

  it('fails as a whole, and tells the offender from the others', async () => {
    const result = await send(lane(), answered(rolledBack, refused, rolledBack), 10_000)
    expect(result.sent).toHaveLength(1)
    expect(result.outcome).toMatchObject({
      kind: 'ended',
      records: [fails(rolledBack), fails(refused), fails(rolledBack)],
    })
    expect(result.states).toEqual(['failed 1', 'failed 1', 'failed 1'])
  })

  it('is left to the queue as a whole', async () => {
    const result = await send(lane({ type: 'update' }), lost())
    expect(result.outcome).toMatchObject({ kind: 'still_trying' })
    expect(result.states).toEqual(['queued 2', 'queued 2', 'queued 2'])
  })

  it('is not sent again in part when a record may have been written', async () => {
    const result = await send(lane(), answered(rolledBack, ambiguous, rolledBack), 10_000)
    expect(result.sent).toHaveLength(1)
    expect(result.outcome).toMatchObject({ kind: 'unknown' })
    expect(result.states).toEqual(['failed 1', 'in_doubt 1', 'failed 1'])
  })
})
