import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Sql } from '../../src/db/connect.ts'
import { createGroupCommit } from '../../src/ingest/group-commit.ts'
import { newId } from '../../src/kernel/ids.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import {
  deleteOldKeys,
  keepAnswer,
  KeyTaken,
  pruneKeys,
  readKey,
  releaseKey,
  takeKeys,
} from '../../src/queue/idempotency-keys.ts'
import { insertSending } from '../../src/queue/insert-sending.ts'
import { operationIdOf, type Submission } from '../../src/queue/insert-writes.ts'
import { keepRetention } from '../../src/queue/retention.ts'
import { lockOrder } from '../../src/queue/record-order.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { expectLanesTrue, incoming, incomingBatch, laneKey } from '../support/queue-fixture.ts'
import { waitUntil } from '../support/wait-until.ts'
import { oneStory } from '../support/one-story.ts'

let database: TestDatabase
const sql = () => database.sql
beforeAll(async () => {
  database = await createTestDatabase()
})
beforeEach(() => sql()`delete from idempotency_key`)
afterAll(() => database.drop())

const nudge = () => Promise.resolve()
const commits = (pool: Sql = sql()) => createGroupCommit({ sql: pool, nudge })

type Keyed = Submission & Required<Pick<Submission, 'key'>>

const keyed = (lane: LaneKey, text: string, part: Parameters<typeof incoming>[1] = {}): Keyed => ({
  ...incoming(lane, part),
  key: { text, requestHash: Buffer.from(text), answerTo: null },
})

const send = (submission: Submission) =>
  insertSending(sql(), { submission, batchIds: [newId()], worker: 'test', leaseSeconds: 60 })

const stored = async (submissions: Submission[]): Promise<boolean[]> => {
  const rows = await sql()<{ id: string }[]>`
    select id from write where id = any (${submissions.flatMap(({ writes }) => writes.map((one) => one.id))}::uuid[])`
  const ids = new Set(rows.map((row) => row.id))
  return submissions.map(({ writes }) => writes.every((write) => ids.has(write.id)))
}

const ownerOf = async (lane: LaneKey, text: string): Promise<string | undefined> =>
  (await readKey(sql(), lane.projectId, text))?.operationId

const untilWaiting = (count: number): Promise<void> =>
  waitUntil(
    async () => {
      const [row] = await sql()<{ count: number }[]>`
        select count(*)::int as count from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`
      return row!.count === count
    },
    { timeoutMs: 10_000, what: `${count} to wait for a lock` },
  )

/** A transaction that stays open, after what it does, until it is told to end. */
async function open(run: (tx: Parameters<typeof takeKeys>[0]) => Promise<unknown>) {
  const done = Promise.withResolvers<undefined>()
  const end = Promise.withResolvers<undefined>()
  const ended = sql().begin(async (tx) => {
    await run(tx)
    done.resolve(undefined)
    await end.promise
  })
  await Promise.race([done.promise, ended])
  return {
    commit: () => {
      end.resolve(undefined)
      return ended
    },
    rollBack: () => {
      end.reject(new Error('rolled back'))
      return ended.catch(() => undefined)
    },
  }
}

describe('idempotency keys', oneStory, () => {
  describe('keys of asynchronous writes', () => {
    it('are taken in the transaction that commits the writes', async () => {
      let begun = 0
      const counting = new Proxy(sql(), {
        get: (target, name): unknown => {
          if (name === 'begin') begun += 1
          return Reflect.get(target, name)
        },
        apply: (target, self, args: unknown[]): unknown => {
          begun += 1
          return Reflect.apply(target as never, self, args)
        },
      })
      const lane = laneKey()
      const group = commits(counting)
      await group.add(incoming(lane))
      begun = 0
      expect(await group.add(keyed(lane, 'one'))).toBe(true)
      expect(begun).toBe(1)
    })

    it('stand or fall with the writes', async () => {
      const lane = laneKey()
      const failing = createGroupCommit({ sql: sql(), nudge: () => Promise.reject(new Error('no wake-up')) })
      await expect(failing.add(keyed(lane, 'undone'))).rejects.toThrow('no wake-up')
      expect(await ownerOf(lane, 'undone')).toBeUndefined()
      expect(await commits().add(keyed(lane, 'undone'))).toBe(true)
    })

    it('belong to the first of one commit, and the others are not written', async () => {
      const lane = laneKey()
      const twins = Array.from({ length: 5 }, () => keyed(lane, 'twin'))
      const other = incoming(lane)
      const group = commits()
      const added = await Promise.all([...twins, other].map((one) => group.add(one)))
      expect(added).toEqual([true, false, false, false, false, true])
      expect(await stored([...twins, other])).toEqual(added)
      expect(await ownerOf(lane, 'twin')).toBe(operationIdOf(twins[0]!))
      await expectLanesTrue(sql())
    })

    it('pass to the next when the first one’s write is impossible', async () => {
      const lane = laneKey()
      const bad = keyed(lane, 'passes', { maxRecords: 0 })
      const good = keyed(lane, 'passes')
      const group = commits()
      const results = await Promise.allSettled([bad, good].map((one) => group.add(one)))
      expect(results.map((result) => result.status)).toEqual(['rejected', 'fulfilled'])
      expect(await ownerOf(lane, 'passes')).toBe(operationIdOf(good))
      expect(await stored([bad, good])).toEqual([false, true])
    })

    it('are one for a caller-built batch, of which a twin leaves nothing', async () => {
      const lane = laneKey()
      const key = { text: 'batch', requestHash: Buffer.from('batch'), answerTo: null }
      const twins = [0, 1].map(() => ({ ...incomingBatch(lane, [{}, {}]), key }))
      const group = commits()
      expect(await Promise.all(twins.map((one) => group.add(one)))).toEqual([true, false])
      expect(await ownerOf(lane, 'batch')).toBe(twins[0]!.operation.id)
      const rows = await sql()`select id from operation where project_id = ${lane.projectId}`
      const lanes = await sql()`select id from lane where project_id = ${lane.projectId}`
      expect([rows.length, lanes.length, ...(await stored(twins))]).toEqual([1, 1, true, false])
    })

    it('belong to a project each', async () => {
      const [mine, theirs] = [laneKey(), laneKey()]
      const group = commits()
      const added = await Promise.all([mine, theirs].map((lane) => group.add(keyed(lane, 'shared'))))
      expect(added).toEqual([true, true])
    })
  })

  describe('a twin in another transaction', () => {
    it('waits for the first one’s commit, and is not written then', async () => {
      const lane = laneKey()
      const [first, second] = [keyed(lane, 'late'), keyed(lane, 'late')]
      const holding = await open((tx) => takeKeys(tx, [first]))
      const adding = commits().add(second)
      await untilWaiting(1)
      await holding.commit()
      expect(await adding).toBe(false)
      expect(await stored([second])).toEqual([false])
    })

    it('is written when the first one is rolled back', async () => {
      const lane = laneKey()
      const [first, second] = [keyed(lane, 'dropped'), keyed(lane, 'dropped')]
      const holding = await open((tx) => takeKeys(tx, [first]))
      const adding = commits().add(second)
      await untilWaiting(1)
      await holding.rollBack()
      expect(await adding).toBe(true)
      expect([await stored([second]), await ownerOf(lane, 'dropped')]).toEqual([
        [true],
        operationIdOf(second),
      ])
    })

    it('of a synchronous call: nothing of it is recorded', async () => {
      const lane = laneKey()
      const [first, second] = [keyed(lane, 'sync'), keyed(lane, 'sync')]
      await send(first)
      await expect(send(second)).rejects.toBeInstanceOf(KeyTaken)
      expect(await stored([first, second])).toEqual([true, false])
      expect(await sql()`select id from batch where project_id = ${lane.projectId}`).toHaveLength(1)
    })

    it('never deadlocks over several keys: all take them in one order', async () => {
      const { projectId } = laneKey()
      const lane = laneKey({ projectId })
      // By bytes: Z comes before a, whatever the database's own order of texts.
      const [low, middle, high] = ['Z', 'a', 'b'].map((text) => () => keyed(lane, text))
      const holding = await open((tx) => takeKeys(tx, [middle!()]))
      const there = sql().begin((tx) => takeKeys(tx, [low!(), middle!(), high!()]))
      await untilWaiting(1)
      const back = sql().begin((tx) => takeKeys(tx, [high!(), middle!(), low!()]))
      await untilWaiting(2)
      await holding.commit()
      expect([(await there).size, (await back).size]).toEqual([1, 3])
    })

    it('never deadlocks with a commit of writes to the same record: keys come before all else', async () => {
      const lane = laneKey({ type: 'update' })
      const recordKey = newId()
      const [queued, sent] = [keyed(lane, 'order', { recordKey }), keyed(lane, 'order', { recordKey })]
      await commits().add(incoming(lane))
      const holding = await open((tx) => lockOrder(tx, [lane.installationId]))
      const adding = commits().add(queued)
      await untilWaiting(1)
      const sending = send(sent).catch((error: unknown) => error)
      await untilWaiting(2)
      await holding.commit()
      expect(await adding).toBe(true)
      expect(await sending).toBeInstanceOf(KeyTaken)
      await expectLanesTrue(sql())
    })
  })

  describe('what is kept of a key', () => {
    it('tells the id by which an update named its record, since an org may not repeat it', async () => {
      const record = '{"id":"003000000000001AAA"}'
      for (const [type, namedId] of [
        ['update', '003000000000001AAA'],
        ['create', null],
      ] as const) {
        const lane = laneKey({ type })
        await send(keyed(lane, 'named', { record }))
        expect(await readKey(sql(), lane.projectId, 'named')).toMatchObject({ records: [{ namedId }] })
      }
    })

    it('is the first answer, and none for another operation', async () => {
      const lane = laneKey()
      const own = keyed(lane, 'kept')
      await send(own)
      await keepAnswer(sql(), keyed(lane, 'kept'), { status: 200, body: '"other"' })
      expect(await readKey(sql(), lane.projectId, 'kept')).toMatchObject({
        answer: null,
        isBatch: false,
        records: [{ state: 'sending' }],
      })
      await keepAnswer(sql(), own, { status: 422, body: '"mine"' })
      await keepAnswer(sql(), own, { status: 200, body: '"late"' })
      expect(await readKey(sql(), lane.projectId, 'kept')).toMatchObject({
        answer: { status: 422, body: '"mine"' },
      })
    })

    it.each([
      ['failed', true],
      ['sending', false],
      ['queued', false],
      ['succeeded', false],
      ['in_doubt', false],
      ['cancelled', false],
    ])('is given back while its write is %s: %s', async (state, isFree) => {
      const lane = laneKey()
      const own = keyed(lane, 'back')
      await send(own)
      await sql()`
      update write set state = ${state}, ended_at = case when ${state} in ('queued', 'sending') then null else now() end
      where id = ${operationIdOf(own)}`
      await releaseKey(sql(), keyed(lane, 'back'))
      expect(await ownerOf(lane, 'back')).toBe(operationIdOf(own))
      await releaseKey(sql(), own)
      expect((await ownerOf(lane, 'back')) === undefined).toBe(isFree)
    })

    it('is not given back once there is an answer, nor while any write of a batch may have been made', async () => {
      const lane = laneKey()
      const key = { text: 'whole', requestHash: Buffer.from('x'), answerTo: null }
      const own = { ...incomingBatch(lane, [{}, {}]), key }
      await send(own)
      const fail = (ids: string[]) =>
        sql()`update write set state = 'failed', ended_at = now() where id = any (${ids}::uuid[])`
      await fail([own.writes[0]!.id])
      await releaseKey(sql(), own)
      expect(await ownerOf(lane, 'whole')).toBe(own.operation.id)
      await fail([own.writes[1]!.id])
      await keepAnswer(sql(), own, { status: 422, body: '{}' })
      await releaseKey(sql(), own)
      expect(await ownerOf(lane, 'whole')).toBe(own.operation.id)
    })
  })

  describe('the removal of keys', () => {
    const add = (lane: LaneKey, text: string, age: string) => sql()`
    insert into idempotency_key (project_id, key, request_hash, operation_id, created_at)
    values (${lane.projectId}, ${text}, '', ${newId()}, now() - ${age}::interval)`
    const left = async (): Promise<string[]> =>
      (await sql()<{ key: string }[]>`select key from idempotency_key order by key`).map((row) => row.key)

    it('takes the oldest first, as many as it may, and none before a day is over', async () => {
      const lane = laneKey()
      await Promise.all([
        add(lane, 'a', '30 hours'),
        add(lane, 'b', '29 hours'),
        add(lane, 'c', '28 hours'),
        add(lane, 'd', '24 hours'),
        add(lane, 'e', '0 hours'),
      ])
      expect(await deleteOldKeys(sql(), 2)).toBe(2)
      expect(await left()).toEqual(['c', 'd', 'e'])
      expect(await deleteOldKeys(sql(), 2)).toBe(1)
      expect(await left()).toEqual(['d', 'e'])
    })

    it('goes on until nothing is left, or it is to stop', async () => {
      await sql()`
      insert into idempotency_key (project_id, key, request_hash, operation_id, created_at)
      select gen_random_uuid(), n, '', gen_random_uuid(), now() - interval '2 days' from generate_series(1, 2500) n`
      expect(await pruneKeys(sql(), AbortSignal.abort())).toBe(0)
      expect(await pruneKeys(sql(), new AbortController().signal)).toBe(2500)
      expect(await left()).toEqual([])
    })

    it('is part of the house-keeping', async () => {
      await add(laneKey(), 'old', '2 days')
      await keepRetention({ sql: sql(), logger: silentLogger, days: 30 }, new AbortController().signal)
      expect(await left()).toEqual([])
    })

    it('waits for nobody', async () => {
      const lane = laneKey()
      await Promise.all([add(lane, 'held', '3 days'), add(lane, 'free', '2 days')])
      const holding = await open((tx) => tx`select from idempotency_key where key = 'held' for update`)
      expect(await deleteOldKeys(sql(), 10)).toBe(1)
      await holding.commit()
      expect(await left()).toEqual(['held'])
    })

    it('finds them by an index', async () => {
      await sql()`
      insert into idempotency_key (project_id, key, request_hash, operation_id)
      select gen_random_uuid(), n, '', gen_random_uuid() from generate_series(1, 5000) n`
      await sql()`analyze idempotency_key`
      const plan = await sql()<{ 'QUERY PLAN': string }[]>`
      explain select project_id, key from idempotency_key
      where created_at < now() - make_interval(hours => 25) order by created_at limit 1000`
      expect(plan.map((row) => row['QUERY PLAN']).join('\n')).toContain('idempotency_key_by_time')
    })
  })
})
