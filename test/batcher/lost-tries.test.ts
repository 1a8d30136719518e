import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { runLane } from '../../src/batcher/run-lane.ts'
import type { Database } from '../../src/db/connect.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import type { CallAnswer, RecordAnswer } from '../../src/model/outcome.ts'
import { retryWrites } from '../../src/queue/retry-operation.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addWrites,
  expectLanesTrue,
  incoming,
  laneIdOf,
  laneKey,
  readWrite,
  refuseIllegalMoves,
} from '../support/queue-fixture.ts'
import { allWritten, handMadeProvider, runnerWith, states, turn, type ProviderCall } from './fixture.ts'
import { inTurn, lost } from './now-fixture.ts'

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

const failure = (code: string, errorClass: (RecordAnswer & { ok: false })['errorClass']): RecordAnswer => ({
  ok: false,
  errors: [{ code, message: code, fields: [] }],
  errorClass,
})
const answered = (...records: RecordAnswer[]): CallAnswer => ({
  kind: 'answered',
  status: 200,
  records,
  usage: null,
})
const rolledBack = failure('ALL_OR_NONE_OPERATION_ROLLED_BACK', 'again')
const invalid = failure('INSUFFICIENT_ACCESS_OR_READONLY', 'permanent')
const locked = failure('UNABLE_TO_LOCK_ROW', 'transient')

const update = (lane: LaneKey, name: string) =>
  incoming(lane, { delaySeconds: 0, record: `{"id":"${name}"}` })

/** What the org says of a call whose offenders are undone with all the others. */
const undoing =
  (...offenders: string[]) =>
  ({ group }: ProviderCall): CallAnswer => {
    const isOffender = (record: string): boolean => offenders.some((name) => record.includes(`"${name}"`))
    if (!group.records.some(isOffender)) return allWritten(group)
    return answered(...group.records.map((record) => (isOffender(record) ? invalid : rolledBack)))
  }

/** A lane's calls, one for each turn; the answer of the first is lost, and what it carried is due at once. */
async function lane(
  part: Partial<LaneKey>,
  names: string[],
  ...later: ((call: ProviderCall) => CallAnswer)[]
) {
  const key = laneKey({ type: 'update', ...part })
  const add = (more: string[]): Promise<string[]> =>
    addWrites(
      sql(),
      more.map((name) => update(key, name)),
    )
  const provider = handMadeProvider(inTurn(lost(), ...later))
  const ids = await add(names)
  const laneId = await laneIdOf(sql(), key)
  const run = () => runLane(runnerWith(sql(), provider), laneId, turn())
  const sent = () =>
    provider.calls.map((call) => call.group.records.map((text) => (JSON.parse(text) as { id: string }).id))
  const codes = async (id: string): Promise<string[]> =>
    ((await readWrite(sql(), key.projectId, id))?.errors ?? []).map(({ code }) => code)
  return { key, laneId, ids, add, run, sent, codes }
}

describe('a group with allOrNone whose answer was lost', () => {
  it('is not undone by who joined since: it goes again without them, and is written', async () => {
    const { ids, add, run, sent } = await lane({ allOrNone: true }, ['a', 'b'], undoing('new'))
    await run()
    const [joined] = await add(['new'])
    await run()
    await run()
    expect(sent()).toEqual([
      ['a', 'b'],
      ['a', 'b', 'new'],
      ['a', 'b'],
    ])
    expect(await states(sql(), [...ids, joined!])).toEqual(['succeeded 3', 'succeeded 3', 'failed 1'])
  })

  it('is in doubt when one of its own members undoes it for what may have changed since', async () => {
    const { ids, run, codes } = await lane({ allOrNone: true }, ['a', 'bad'], undoing('bad'))
    await run()
    await run()
    expect(await states(sql(), ids)).toEqual(['in_doubt 2', 'in_doubt 2'])
    expect(await codes(ids[0]!)).toEqual(['OUTCOME_UNKNOWN', 'ALL_OR_NONE_OPERATION_ROLLED_BACK'])
    expect(await codes(ids[1]!)).toEqual(['OUTCOME_UNKNOWN', 'INSUFFICIENT_ACCESS_OR_READONLY'])
  })
})

describe('a write whose answer was lost', () => {
  it.each([
    { what: 'refused for what it says', code: 'STRING_TOO_LONG', state: 'failed 2' },
    { what: 'refused because its record is gone', code: 'ENTITY_IS_DELETED', state: 'failed 2' },
    {
      what: 'refused for a right that it may have lost by it',
      code: 'INSUFFICIENT_ACCESS_OR_READONLY',
      state: 'in_doubt 2',
    },
  ])('and that is then $what: $state', async ({ code, state }) => {
    const { ids, run } = await lane({}, ['a'], () => answered(failure(code, 'permanent')))
    await run()
    await run()
    expect(await states(sql(), ids)).toEqual([state])
  })

  it('is in doubt at its deadline, with only retries since', async () => {
    const { ids, run, codes } = await lane({}, ['a'], () => answered(locked))
    await run()
    await run()
    expect(await states(sql(), ids)).toEqual(['queued 2'])
    await sql()`update write set deadline_at = now() where id = ${ids[0]!}`
    await run()
    expect(await states(sql(), ids)).toEqual(['in_doubt 3'])
    expect(await codes(ids[0]!)).toEqual(['OUTCOME_UNKNOWN', 'UNABLE_TO_LOCK_ROW'])
  })

  it('stays in doubt through a retry by hand that proves nothing, and is told so once', async () => {
    const { key, laneId, ids, run, codes } = await lane({ type: 'create' }, ['a'], () => answered(invalid))
    await run()
    expect(await states(sql(), ids)).toEqual(['in_doubt 1'])
    await sql().begin(async (tx) => {
      const request = { operationId: ids[0]!, laneId, installationId: key.installationId, writeIds: ids }
      await retryWrites(tx, request)
    })
    await run()
    expect(await states(sql(), ids)).toEqual(['in_doubt 2'])
    expect(await codes(ids[0]!)).toEqual(['OUTCOME_UNKNOWN', 'INSUFFICIENT_ACCESS_OR_READONLY'])
  })
})
