import { describe, expect, it } from 'vitest'
import { startSweeper } from '../../src/batcher/sweeper.ts'
import type { Tx } from '../../src/db/connect.ts'
import { newId } from '../../src/kernel/ids.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import { insertSending } from '../../src/queue/insert-sending.ts'
import {
  addWrites,
  claim,
  expectLanesTrue,
  incoming,
  laneIdOf,
  laneKey,
  settle,
} from '../support/queue-fixture.ts'
import { waitUntil } from '../support/wait-until.ts'
import { endLeases, handMadeProvider, heldProvider, sessionWith, states, steppedClock } from './fixture.ts'
import { answered, attemptsOf, inTurn, locked, nowDatabase, written } from './now-fixture.ts'

const { sql, processes } = nowDatabase()

const submit = (lane: LaneKey) =>
  incoming(lane, { delaySeconds: 0, recordKey: lane.type === 'create' ? null : newId() })
const updates = () => laneKey({ type: 'update' })

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

const errorCode = async (id: string): Promise<unknown> =>
  (await sql()`select errors->0->>'code' as code from write where id = ${id}`)[0]!['code']

describe('a process that dies in a synchronous call', () => {
  it('before the call: a plain create has failed, since its caller will have tried again', async () => {
    const lane = laneKey()
    const own = submit(lane)
    await insertSending(sql(), { submission: own, batchIds: [newId()], worker: 'gone', leaseSeconds: 60 })
    await endLeases(sql())
    await sweep()
    expect(await states(sql(), [own.writes[0].id])).toEqual(['failed 0'])
    expect(await errorCode(own.writes[0].id)).toBe('PROVIDER_UNREACHABLE')
  })

  it('before the call: an update is left to the queue, behind what it waited for', async () => {
    const recordKey = newId()
    const lane = updates()
    const [earlier] = await addWrites(sql(), [incoming(lane, { recordKey, delaySeconds: 0 })])
    const own = incoming(lane, { recordKey, delaySeconds: 0 })
    await insertSending(sql(), { submission: own, batchIds: [newId()], worker: 'gone', leaseSeconds: 60 })
    await endLeases(sql())
    await sweep()
    expect(await states(sql(), [own.writes[0].id])).toEqual(['queued 0'])
    await expectLanesTrue(sql())
    const laneId = await laneIdOf(sql(), lane)
    const first = await claim(sql(), laneId)
    expect(first.batch!.members.map((member) => member.id)).toEqual([earlier])
    await settle(sql(), first.batch!, () => ({}))
    const second = await claim(sql(), laneId)
    expect(second.batch!.members.map((member) => member.id)).toEqual([own.writes[0].id])
  })

  it.each([
    ['a plain create is in doubt', laneKey, 'unknown', 'in_doubt 1'],
    ['an update is left to the queue', updates, 'still_trying', 'queued 1'],
  ])('in the call: %s, and the call that comes back says so', async (_, lane, kind, state) => {
    const held = heldProvider()
    const now = await processes.start(held.provider)
    const own = submit(lane())
    const call = now.send(own, 10_000)
    await held.called(1)
    await endLeases(sql())
    await sweep()
    expect(await states(sql(), [own.writes[0].id])).toEqual([state])
    held.answer()
    expect(await call).toMatchObject({ kind })
    expect(await states(sql(), [own.writes[0].id])).toEqual([state])
  })

  it.each([
    ['a plain create that was not written has failed', laneKey, 'ended', 'failed 1'],
    ['an update is left to the queue', updates, 'still_trying', 'queued 1'],
  ])('between two tries: %s, and nothing is sent twice', async (_, lane, kind, state) => {
    const provider = handMadeProvider(inTurn(answered(locked), answered(written)))
    const pause = Promise.withResolvers<undefined>()
    let opened = 0
    const session = sessionWith(provider)
    const now = await processes.start(provider, {
      sessions: {
        // The second try is held before it begins.
        open: async () => {
          opened += 1
          if (opened > 1) await pause.promise
          return session
        },
        refresh: () => Promise.reject(new Error('no session was refused')),
      },
    })
    const own = submit(lane())
    const { id } = own.writes[0]
    const call = now.send(own, 10_000)
    await waitUntil(() => opened === 2, { timeoutMs: 5_000, what: 'the second try' })
    expect(await states(sql(), [id])).toEqual(['sending 1'])
    expect(await attemptsOf(sql(), id)).toEqual(['retry UNABLE_TO_LOCK_ROW'])
    await endLeases(sql())
    await sweep()
    expect(await states(sql(), [id])).toEqual([state])
    pause.resolve(undefined)
    expect(await call).toMatchObject({ kind })
    expect(provider.calls).toHaveLength(1)
    expect(await states(sql(), [id])).toEqual([state])
    await expectLanesTrue(sql())
  })
})

describe('a commit whose answer is lost', () => {
  /** A database that loses the answer to each commit that did not end a call in peace before. */
  const forgetful = () => {
    const lostOnce = new Set<unknown>()
    return new Proxy(sql(), {
      get: (target, name) => {
        if (name !== 'begin') return Reflect.get(target, name) as unknown
        return async (run: (tx: Tx) => Promise<unknown>) => {
          const result = await target.begin(run)
          const key = isRecord(result) ? result.ended.join() : null
          if (key === null || lostOnce.has(key)) return result
          lostOnce.add(key)
          throw Object.assign(new Error('the connection was lost'), { code: 'CONNECTION_CLOSED' })
        }
      },
    })
  }
  const isRecord = (result: unknown): result is { ended: string[] } =>
    typeof result === 'object' && result !== null && 'applied' in result && 'ended' in result

  it('is no doubt: what was recorded is told, and the tries go on', async () => {
    const now = await processes.start(inTurn(answered(locked), answered(written)), { sql: forgetful() })
    const own = submit(laneKey())
    expect(await now.send(own, 10_000)).toMatchObject({
      kind: 'ended',
      records: [{ ok: true, recordId: written.recordId, data: written.raw }],
    })
    expect(await states(sql(), [own.writes[0].id])).toEqual(['succeeded 2'])
    expect(now.provider.calls).toHaveLength(2)
  })
})

describe('a process with synchronous calls', () => {
  it('gives signs of life for what it has in flight, and none for what has ended', async () => {
    const clock = steppedClock()
    const held = heldProvider()
    const now = await processes.start(held.provider, { clock })
    const own = submit(laneKey())
    const call = now.send(own, 10_000)
    await held.called(1)
    await sql()`update batch set lease_until = now() + interval '3 s' where state <> 'ended'`
    const isLong = async () =>
      (
        await sql()<{ long: boolean }[]>`
        select lease_until > now() + interval '10 s' as long from batch where installation_id = ${own.lane.installationId}`
      )[0]!.long
    expect(await isLong()).toBe(false)
    clock.step()
    await waitUntil(isLong, { timeoutMs: 5_000, what: 'the lease to be kept' })
    held.answer()
    await call
  })

  it('waits for its calls when it stops, and takes no more', async () => {
    const held = heldProvider()
    const now = await processes.start(held.provider)
    const call = now.send(submit(laneKey()), 10_000)
    await held.called(1)
    const stopped = now.stop(10_000)
    await expect(now.send(submit(laneKey()), 1_000)).rejects.toMatchObject({ code: 'SHUTTING_DOWN' })
    held.answer()
    expect(await call).toMatchObject({ kind: 'ended' })
    await stopped
    expect(now.active).toBe(0)
  })

  it('cuts them off when the time to stop is over, and records that', async () => {
    const provider = handMadeProvider(
      ({ options }) =>
        new Promise((resolve) =>
          options.signal!.addEventListener('abort', () =>
            resolve({
              kind: 'lost',
              status: null,
              error: { code: 'ABORTED', message: 'aborted', fields: [] },
            }),
          ),
        ),
    )
    const now = await processes.start(provider)
    const [create, update] = [submit(laneKey()), submit(updates())]
    const calls = [now.send(create, 60_000), now.send(update, 60_000)]
    await waitUntil(() => provider.calls.length === 2, { timeoutMs: 5_000, what: 'both calls' })
    await now.stop(50)
    expect(await Promise.all(calls)).toMatchObject([
      { kind: 'unknown', because: 'cut_off' },
      { kind: 'still_trying' },
    ])
    expect(await states(sql(), [create.writes[0].id, update.writes[0].id])).toEqual([
      'in_doubt 1',
      'queued 1',
    ])
  })
})
