import { describe, expect, it } from 'vitest'
import { ConnectionBroken, SessionUnavailable } from '../../src/connections/session-errors.ts'
import { newId } from '../../src/kernel/ids.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import type { ProviderError } from '../../src/model/outcome.ts'
import { expectLanesTrue, incoming, laneKey } from '../support/queue-fixture.ts'
import { allWritten, handMadeProvider, sessionWith, states } from './fixture.ts'
import {
  ambiguous,
  answered,
  attemptsOf,
  batchesOf,
  inTurn,
  invalid,
  locked,
  lost,
  notSent,
  nowDatabase,
  refusal,
  refused,
  silent,
  written,
} from './now-fixture.ts'

const { sql, processes } = nowDatabase()

/** Time for two tries. */
const SHORT_MS = 1_000

const createLane = () => laneKey()
const updateLane = () => laneKey({ type: 'update' })
const keyedLane = () => laneKey({ externalIdField: 'Key__c' })
const submit = (lane: LaneKey) =>
  incoming(lane, { delaySeconds: 0, recordKey: lane.type === 'create' ? null : newId() })

const errorsOf = async (id: string): Promise<ProviderError[] | null> => {
  const [row] = await sql()<{ errors: ProviderError[] | null }[]>`select errors from write where id = ${id}`
  return row!.errors
}

/** Sends one write; answers with what is recorded of it. */
async function send(
  lane: LaneKey,
  answer: Parameters<typeof processes.start>[0],
  timeMs = SHORT_MS,
  part: Parameters<typeof processes.start>[1] = {},
) {
  const now = await processes.start(answer, part)
  const submission = submit(lane)
  const id = submission.writes[0].id
  const outcome = await now.send(submission, timeMs)
  const [state] = await states(sql(), [id])
  await expectLanesTrue(sql())
  const open =
    await sql()`select id from batch where installation_id = ${lane.installationId} and state <> 'ended'`
  expect([...open]).toEqual([])
  return { id, outcome, state, attempts: await attemptsOf(sql(), id), calls: now.provider.calls.length }
}

describe('a synchronous call that gets its outcome', () => {
  it('is told what the provider said of a record that was written, and it is recorded', async () => {
    const lane = createLane()
    const { id, outcome, state, attempts } = await send(lane, answered(written))
    expect(outcome).toEqual({
      kind: 'ended',
      records: [{ ok: true, recordId: '003000000000001', created: true, data: { id: 'raw' } }],
    })
    expect(state).toBe('succeeded 1')
    expect(attempts).toEqual(['succeeded'])
    expect(await batchesOf(sql(), lane.installationId)).toEqual(['now ended answered'])
    const [row] =
      await sql()`select record_id, created, ended_at is not null as ended from write where id = ${id}`
    expect(row).toEqual({ record_id: '003000000000001', created: true, ended: true })
  })

  it('is told the errors of a record that cannot be written, after one call', async () => {
    const { outcome, state, calls } = await send(createLane(), answered(refused))
    expect(outcome).toEqual({
      kind: 'ended',
      records: [{ ok: false, errors: refused.errors, raw: { code: 'REQUIRED_FIELD_MISSING' } }],
    })
    expect([state, calls]).toEqual(['failed 1', 1])
  })

  it('sends a plain create again after a failure that can pass, each try in a batch of its own', async () => {
    const lane = createLane()
    const answer = inTurn(answered(locked), notSent, answered(written))
    const { outcome, state, attempts } = await send(lane, answer, 10_000)
    expect(outcome).toMatchObject({ kind: 'ended', records: [{ ok: true }] })
    expect(state).toBe('succeeded 3')
    expect(attempts).toEqual(['retry UNABLE_TO_LOCK_ROW', 'retry ECONNREFUSED', 'succeeded'])
    expect(await batchesOf(sql(), lane.installationId)).toEqual([
      'now ended answered',
      'now ended not_sent',
      'now ended answered',
    ])
  })

  it.each([
    ['an update', updateLane],
    ['an upsert', () => laneKey({ type: 'upsert', externalIdField: 'Key__c' })],
    ['a delete', () => laneKey({ type: 'delete' })],
    ['a create with a key', keyedLane],
  ])('sends %s again when its answer was lost', async (_, lane) => {
    const { outcome, state, attempts } = await send(lane(), inTurn(lost(), answered(written)), 10_000)
    expect(outcome).toMatchObject({ kind: 'ended', records: [{ ok: true }] })
    expect(state).toBe('succeeded 2')
    expect(attempts).toEqual(['retry ECONNRESET', 'succeeded'])
  })

  it('has failed with its own errors when a plain create could not be written to the end', async () => {
    const { id, outcome, state, calls } = await send(createLane(), answered(locked))
    expect(outcome).toEqual({
      kind: 'ended',
      records: [{ ok: false, errors: locked.errors, raw: locked.raw }],
    })
    expect(calls).toBe(2)
    expect(state).toBe('failed 2')
    expect(await errorsOf(id)).toEqual(locked.errors)
  })

  it('gives a call no more time than is left, and no more than any call may have', async () => {
    const provider = handMadeProvider()
    await send(createLane(), provider, 5_000)
    expect(provider.calls[0]!.options.timeoutMs).toBeLessThanOrEqual(5_000)
    expect(provider.calls[0]!.options.timeoutMs).toBeGreaterThan(3_000)
    await send(createLane(), provider, 60_000, { callTimeoutMs: 7_000 })
    expect(provider.calls[1]!.options.timeoutMs).toBe(7_000)
  })
})

describe('a synchronous call without an outcome in time', () => {
  it.each([
    ['no answer came', silent, 'timeout', 'TIMEOUT'],
    ['the connection broke', lost('ECONNRESET'), 'cut_off', 'ECONNRESET'],
    ['the provider was silent on the record', answered(), 'cut_off', 'NO_ANSWER_FOR_RECORD'],
    ['the provider may have written it', answered(ambiguous), 'cut_off', 'UNKNOWN_EXCEPTION'],
  ])('leaves a plain create in doubt when %s, and never sends it again', async (_, answer, because, code) => {
    const { id, outcome, state, calls } = await send(createLane(), answer)
    expect(outcome).toMatchObject({ kind: 'unknown', because })
    expect([state, calls]).toEqual(['in_doubt 1', 1])
    expect((await errorsOf(id))!.map((error) => error.code)).toEqual(['OUTCOME_UNKNOWN', code])
  })

  it.each([
    ['an update', updateLane],
    ['a create with a key', keyedLane],
  ])('leaves %s whose answers were lost to the queue', async (_, lane) => {
    const { outcome, state, attempts } = await send(lane(), lost())
    expect(outcome).toEqual({ kind: 'still_trying', reason: 'ECONNRESET it says' })
    expect(state).toBe('queued 2')
    expect(attempts).toEqual(['retry ECONNRESET', 'retry ECONNRESET'])
  })

  it('leaves an update that was locked to the end to the queue, with a wake-up', async () => {
    const lane = updateLane()
    const nudges: string[] = []
    const { outcome, state } = await send(lane, answered(locked), SHORT_MS, {
      nudge: (_, wakeups) => {
        nudges.push(...wakeups.map((wakeup) => wakeup.installationId))
        return Promise.resolve()
      },
    })
    expect(outcome).toEqual({ kind: 'still_trying', reason: 'UNABLE_TO_LOCK_ROW it says' })
    expect(state).toBe('queued 2')
    expect(nudges).toContain(lane.installationId)
  })

  it.each([
    ['a plain create', createLane],
    ['an update', updateLane],
  ])('has failed %s that never reached the provider', async (_, lane) => {
    const { id, outcome, state } = await send(lane(), notSent)
    expect(outcome).toEqual({ kind: 'unreachable', reason: 'ECONNREFUSED it says' })
    expect(state).toBe('failed 2')
    expect((await errorsOf(id))![0]!.code).toBe('ECONNREFUSED')
  })

  it('does not call a provider unreachable that may have written an update before', async () => {
    const { outcome, state } = await send(updateLane(), inTurn(lost(), notSent))
    expect(outcome).toMatchObject({ kind: 'still_trying' })
    expect(state).toBe('queued 2')
  })

  it('records what came late as it came: the answer to the last try decides', async () => {
    const { outcome, state } = await send(updateLane(), inTurn(lost(), answered(refused)))
    expect(outcome).toMatchObject({ kind: 'ended', records: [{ ok: false, errors: refused.errors }] })
    expect(state).toBe('failed 2')
  })

  it.each([
    ['cut_off', lost()],
    ['timeout', lost('TIMEOUT')],
  ])(
    'is in doubt when a first try was lost (%s) and the refusal may come from what it wrote',
    async (because, first) => {
      const { id, outcome, state } = await send(updateLane(), inTurn(first, answered(invalid)))
      expect(outcome).toEqual({ kind: 'unknown', because, reason: invalid.errors[0]!.message })
      expect(state).toBe('in_doubt 2')
      expect((await errorsOf(id))!.map(({ code }) => code)).toEqual([
        'OUTCOME_UNKNOWN',
        invalid.errors[0]!.code,
      ])
    },
  )
})

describe('a synchronous call and the limits of the org', () => {
  it.each([
    ['a plain create', createLane],
    ['an update', updateLane],
  ])('does not try %s again when the calls of the day are used up', async (_, lane) => {
    const { id, outcome, state, calls } = await send(lane(), refusal({ throttle: 'daily' }), 10_000)
    expect(outcome).toMatchObject({
      kind: 'ended',
      records: [{ ok: false, errors: [{ code: 'REQUEST_LIMIT_EXCEEDED' }] }],
    })
    // What a limit turned away is no attempt.
    expect([state, calls]).toEqual(['failed 0', 1])
    expect((await errorsOf(id))![0]!.code).toBe('REQUEST_LIMIT_EXCEEDED')
  })

  it('leaves an update to the queue when its answer was lost before the calls were used up', async () => {
    const { outcome, state } = await send(
      updateLane(),
      inTurn(lost(), refusal({ throttle: 'daily' })),
      10_000,
    )
    expect(outcome).toMatchObject({ kind: 'still_trying' })
    expect(state).toBe('queued 1')
  })

  it('tries again after a limit that passes in seconds', async () => {
    const answer = inTurn(refusal({ throttle: 'concurrent' }), answered(written))
    const { outcome, state } = await send(createLane(), answer, 10_000)
    expect(outcome).toMatchObject({ kind: 'ended', records: [{ ok: true }] })
    expect(state).toBe('succeeded 1')
  })

  it('tells what each call said of the usage', async () => {
    const usage = { used: 77, limit: 15_000 }
    const orgId = newId()
    const provider = handMadeProvider(({ group }) => ({ ...allWritten(group), usage }))
    const { session, ...rest } = sessionWith(provider)
    const sessions = {
      open: () => Promise.resolve({ ...rest, session: { ...session, orgId } }),
      refresh: () => Promise.reject(new Error('no session was refused')),
    }
    await send(createLane(), provider, SHORT_MS, { sessions })
    const [row] = await sql()`select api_used, api_limit from org_usage where org = ${orgId}`
    expect(row).toEqual({ api_used: 77, api_limit: 15_000 })
  })
})

describe('a synchronous call and its session', () => {
  const broken = new ConnectionBroken('connection', 'the grant was revoked')
  const passing = new SessionUnavailable('connection', 'transient', 'the login host is away')

  it('is refused by a broken connection, and nothing is recorded', async () => {
    const lane = createLane()
    const now = await processes.start(undefined, {
      sessions: { open: () => Promise.reject(broken), refresh: () => Promise.reject(broken) },
    })
    await expect(now.send(submit(lane), SHORT_MS)).rejects.toMatchObject({ code: 'NO_WORKING_CONNECTION' })
    const rows = await sql()`select id from write where installation_id = ${lane.installationId}`
    expect([...rows]).toEqual([])
  })

  it('has failed, and says so, when the connection breaks before anything was written', async () => {
    const lane = updateLane()
    const submission = submit(lane)
    const provider = handMadeProvider(refusal({ errorClass: 'auth' }))
    const now = await processes.start(provider, {
      sessions: { open: () => Promise.resolve(sessionWith(provider)), refresh: () => Promise.reject(broken) },
    })
    await expect(now.send(submission, 10_000)).rejects.toMatchObject({ code: 'NO_WORKING_CONNECTION' })
    expect(provider.calls).toHaveLength(1)
    expect(await states(sql(), [submission.writes[0].id])).toEqual(['failed 1'])
    expect(await errorsOf(submission.writes[0].id)).toMatchObject([{ code: 'NO_WORKING_CONNECTION' }])
  })

  it('waits in its time for a login host that is away for a moment', async () => {
    let asked = 0
    const provider = handMadeProvider()
    const open = () => {
      asked += 1
      return asked < 3 ? Promise.reject(passing) : Promise.resolve(sessionWith(provider))
    }
    const { outcome, state } = await send(createLane(), provider, 10_000, {
      sessions: { open, refresh: open },
    })
    expect(outcome).toMatchObject({ kind: 'ended', records: [{ ok: true }] })
    // No call was made of the tries without a session.
    expect(state).toBe('succeeded 1')
  })

  it('has failed as unreachable when no session came in time, be it for silence', async () => {
    const away = await send(updateLane(), undefined, SHORT_MS, {
      sessions: { open: () => Promise.reject(passing), refresh: () => Promise.reject(passing) },
    })
    expect(away.outcome).toMatchObject({ kind: 'unreachable' })
    expect([away.state, away.calls]).toEqual(['failed 0', 0])
    const never = new Promise<never>(() => undefined)
    const hanging = await send(createLane(), undefined, SHORT_MS, {
      sessions: { open: () => never, refresh: () => never },
    })
    expect(hanging.outcome).toMatchObject({ kind: 'unreachable' })
    expect(hanging.state).toBe('failed 0')
  })
})
