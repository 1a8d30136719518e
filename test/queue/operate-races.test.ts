import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import type { HandMove, HandRequest, HandResult } from '../../src/model/by-hand.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import { claimBatch, lockForClaim, type ClaimedBatch } from '../../src/queue/claim-batch.ts'
import type { Submission } from '../../src/queue/insert-writes.ts'
import { joinMerged } from '../../src/queue/merge-waiting.ts'
import { createOperate } from '../../src/queue/operate.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addWrites,
  claim,
  expectLanesTrue,
  incoming,
  incomingBatch,
  laneIdOf,
  laneKey,
  refuseIllegalMoves,
  settle,
} from '../support/queue-fixture.ts'
import { waitUntil } from '../support/wait-until.ts'

let database: TestDatabase
const sql = () => database.sql
const noNudge = () => Promise.resolve()
const byHand = () => createOperate({ sql: sql(), nudge: noNudge })

beforeAll(async () => {
  database = await createTestDatabase()
  await refuseIllegalMoves(database.sql)
  await keepMoves()
})
afterAll(() => database.drop())

/** Makes the database keep every move of a write. */
async function keepMoves(): Promise<void> {
  await sql()`create table made_move (write_id uuid not null, made text not null)`
  await sql()`
    create function keep_move() returns trigger language plpgsql as $$
    begin
      insert into made_move values (new.id, old.state || '>' || new.state);
      return null;
    end $$`
  await sql()`
    create trigger keep_move after update on write for each row when (old.state <> new.state) execute function keep_move()`
}

const asks = (lane: LaneKey, operationId: string): HandRequest => ({
  projectId: lane.projectId,
  operationId,
  keyId: null,
})
const stateOf = async (id: string): Promise<string> => {
  const [row] = await sql()<{ state: string }[]>`select state from write where id = ${id}`
  return row!.state
}
const doubted = { state: 'in_doubt' as const, errors: [{ code: 'OUTCOME_UNKNOWN', message: '', fields: [] }] }

type Act = (nudge: Parameters<typeof createOperate>[0]['nudge']) => Promise<unknown>

/** Holds a move open just before its commit, begins another, waits until that one waits, and lets go. */
async function meet<T>(first: Act, second: () => Promise<T>): Promise<T> {
  const inside = Promise.withResolvers<undefined>()
  const go = Promise.withResolvers<undefined>()
  const leading = first(async () => {
    inside.resolve(undefined)
    await go.promise
  })
  await inside.promise
  const following = second()
  await waitUntil(
    async () => {
      const [row] = await sql()<{ count: number }[]>`
        select count(*)::int as count from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`
      return row!.count > 0
    },
    { timeoutMs: 5_000, what: 'the second move to wait' },
  )
  go.resolve(undefined)
  await leading
  return following
}

/** A claim that can be held open. */
const claiming =
  (laneId: string): Act =>
  (pause) =>
    sql().begin(async (tx) => {
      await lockForClaim(tx, [laneId])
      const batchId = newId()
      const taken = {
        laneId,
        batchId,
        callId: batchId,
        worker: 'test',
        leaseSeconds: 60,
        maxBytes: 1_000_000,
      }
      await claimBatch(tx, { ...taken, rides: false, synchronous: false, heldParents: [] })
      await pause(tx, [])
    })
const moving =
  (move: HandMove, asked: HandRequest): Act =>
  (nudge) => {
    const hands = createOperate({ sql: sql(), nudge })
    if (move === 'resolve') return hands.resolve(asked, { success: true, recordId: null })
    return hands[move](asked)
  }
const make = (move: HandMove, asked: HandRequest) => moving(move, asked)(noNudge) as Promise<HandResult>

async function queued(part: Partial<LaneKey> = {}) {
  const lane = laneKey(part)
  const recordKey = lane.type === 'create' ? null : newId()
  const [id] = await addWrites(sql(), [incoming(lane, { delaySeconds: 0, recordKey })])
  return { lane, id: id!, laneId: await laneIdOf(sql(), lane), asked: asks(lane, id!) }
}

describe.each(['create', 'update'] as const)('a move by hand of a %s that meets another', (type) => {
  it('cancelling finds it claimed, once the claim is through', async () => {
    const { id, laneId, asked } = await queued({ type })
    expect(await meet(claiming(laneId), () => byHand().cancel(asked))).toEqual({
      kind: 'refused',
      state: 'sending',
    })
    expect(await stateOf(id)).toBe('sending')
  })

  it('a claim finds it cancelled', async () => {
    const { id, laneId, asked } = await queued({ type })
    const { batch } = await meet(moving('cancel', asked), () => claim(sql(), laneId))
    expect(batch).toBeNull()
    expect(await stateOf(id)).toBe('cancelled')
    await expectLanesTrue(sql())
  })

  it('a claim takes what was put back, once', async () => {
    const { id, laneId, asked } = await queued({ type })
    await settle(sql(), (await claim(sql(), laneId)).batch!, () => doubted)
    const { batch } = await meet(moving('retry', asked), () => claim(sql(), laneId))
    expect(batch!.members.map((member) => member.id)).toEqual([id])
    expect((await claim(sql(), laneId)).batch).toBeNull()
  })

  const pairs: [HandMove, HandMove, string][] = [
    ['retry', 'retry', 'queued'],
    ['retry', 'resolve', 'queued'],
    ['resolve', 'retry', 'succeeded'],
    ['resolve', 'resolve', 'succeeded'],
  ]
  it.each(pairs)('%s comes first, and %s finds the state that it left', async (first, second, state) => {
    const { id, laneId, asked } = await queued({ type })
    await settle(sql(), (await claim(sql(), laneId)).batch!, () => doubted)
    const result = await meet(moving(first, asked), () => make(second, asked))
    expect(result).toEqual({ kind: 'refused', state })
    expect(await stateOf(id)).toBe(state)
    await expectLanesTrue(sql())
  })

  it('cancelling twice at once is done once', async () => {
    const { asked } = await queued({ type })
    const result = await meet(moving('cancel', asked), () => byHand().cancel(asked))
    expect(result).toEqual({ kind: 'refused', state: 'cancelled' })
    await expectLanesTrue(sql())
  })

  it('a settlement that puts it back and a cancellation both come through, whoever is first', async () => {
    for (let round = 0; round < 20; round += 1) {
      const { id, laneId, asked } = await queued({ type })
      const { batch } = await claim(sql(), laneId)
      const [, result] = await Promise.all([
        settle(sql(), batch!, () => ({ state: 'queued', delaySeconds: 0 })),
        byHand().cancel(asked),
      ])
      expect([{ kind: 'moved' }, { kind: 'refused', state: 'sending' }]).toContainEqual(result)
      expect(await stateOf(id)).toBe(result.kind === 'moved' ? 'cancelled' : 'queued')
      await expectLanesTrue(sql())
    }
  })
})

/** What one of several who work on the queue at once does next; `pick` and `luck` are taken as they fit. */
interface Step {
  act: 'add' | 'claim' | 'settle' | HandMove
  pick: number
  luck: number
}

const step = fc.record<Step>({
  act: fc.constantFrom('add', 'claim', 'claim', 'settle', 'settle', 'cancel', 'retry', 'resolve'),
  pick: fc.nat(1_000),
  luck: fc.nat(1_000),
})

/** Everything that happens to the lanes of one installation. */
class World {
  readonly lanes: LaneKey[]
  readonly #records = [newId(), newId(), newId()]
  readonly #operations: { id: string }[] = []
  readonly #held: ClaimedBatch[] = []
  readonly moved = new Map<string, number>()

  constructor() {
    const lane = laneKey({ type: 'update' })
    const other = { ...lane, type: 'upsert', externalIdField: 'External_Id__c' } as const
    this.lanes = [lane, { ...lane, merge: true }, other, { ...lane, type: 'create' }]
  }

  get installationId(): string {
    return this.lanes[0]!.installationId
  }

  async take({ act, pick, luck }: Step): Promise<void> {
    if (act === 'add') await this.#add(pick, luck)
    else if (act === 'claim') await this.#claim(pick)
    else if (act === 'settle') await this.#settle(luck)
    else await this.#move(act, pick, luck)
    await this.expectOrder()
  }

  /** A write, or a batch of up to three, with or without allOrNone. */
  async #add(pick: number, luck: number): Promise<void> {
    const lane = this.lanes[pick % this.lanes.length]!
    const keyAt = (place: number) => (lane.type === 'create' ? null : this.#records[(luck + place) % 3]!)
    const part = (place: number) => ({ delaySeconds: 0, recordKey: keyAt(place), maxRecords: 1 + (luck % 3) })
    const submission: Submission =
      pick % 3 > 0
        ? incoming(lane, part(0))
        : incomingBatch(
            { ...lane, merge: false, allOrNone: luck % 2 === 0 },
            Array.from({ length: 1 + (luck % 3) }, (_, place) => part(place)),
          )
    await addWrites(sql(), [submission])
    this.#operations.push({ id: submission.operation?.id ?? submission.writes[0]!.id })
  }

  /** Claims a group of one of the lanes that are due. */
  async #claim(pick: number): Promise<boolean> {
    const lanes = await sql()<{ id: string }[]>`
      select id from lane where installation_id = ${this.installationId} and due_at is not null order by id`
    if (lanes.length === 0) return false
    const laneId = lanes[pick % lanes.length]!.id
    const batch = await sql().begin(async (tx) => {
      await lockForClaim(tx, [laneId])
      const batchId = newId()
      const taken = {
        laneId,
        batchId,
        callId: batchId,
        worker: 'test',
        leaseSeconds: 60,
        maxBytes: 1_000_000,
      }
      const claimed = await claimBatch(tx, { ...taken, rides: true, synchronous: false, heldParents: [] })
      if (claimed.batch?.merge === true) await joinMerged(tx, claimed.batch)
      return claimed.batch
    })
    if (batch !== null) this.#held.push(batch)
    return batch !== null
  }

  async #settle(luck: number): Promise<void> {
    const batch = this.#held.shift()
    if (batch === undefined) return
    const failed = { state: 'failed' as const }
    const again = { state: 'queued' as const, delaySeconds: 0 }
    const outcomes = [{}, failed, doubted, failed, doubted, again]
    // What goes whole is decided whole.
    const spread = batch.allOrNone ? 0 : luck % 2
    const settled = await settle(sql(), batch, (index) => outcomes[(luck + index * spread) % 6]!)
    expect(settled.applied).toBe(true)
  }

  /** Mostly of an operation that the move is meant for, as far as one can look before. */
  async #move(move: HandMove, pick: number, luck: number): Promise<void> {
    const fit = move === 'cancel' ? ['queued'] : move === 'retry' ? ['failed', 'in_doubt'] : ['in_doubt']
    const meant = await sql()<{ id: string }[]>`
      select distinct coalesce(operation_id, id) as id from write
      where installation_id = ${this.installationId} and state = any (${fit}::text[]) order by 1`
    const among = meant.length > 0 && luck % 5 > 0 ? meant : this.#operations
    const { id } = among[pick % among.length]!
    const lane = this.lanes[0]!
    const asked = asks(lane, id)
    const result = await (move === 'resolve'
      ? byHand().resolve(asked, { success: luck % 2 === 0, recordId: null })
      : byHand()[move](asked))
    expect(['moved', 'refused']).toContain(result.kind)
    if (result.kind === 'moved') this.moved.set(`${id} ${move}`, (this.moved.get(`${id} ${move}`) ?? 0) + 1)
  }

  /** Of each record's unfinished writes one is free, and it is the first; no two of them are in flight. */
  async expectOrder(): Promise<void> {
    const wrong = await sql()`
      with open as (
        select id, record_key, blocked or merged_into is not null as waits,
          row_number() over (partition by record_key order by seq) as place
        from write where installation_id = ${this.installationId} and record_key is not null
          and state in ('queued', 'sending')
      )
      select * from open where waits <> (place > 1)`
    expect([...wrong]).toEqual([])
  }

  /** Settles and sends all that is left. */
  async drain(): Promise<void> {
    for (let idle = false, rounds = 0; !idle && rounds < 200; rounds += 1) {
      while (this.#held.length > 0) await settle(sql(), this.#held.shift()!, () => ({}))
      idle = true
      for (let lane = 0; lane < 16; lane += 1) if (await this.#claim(lane)) idle = false
    }
    const left = await sql()`
      select id, state, blocked from write
      where installation_id = ${this.installationId} and state in ('queued', 'sending')`
    expect([...left]).toEqual([])
  }

  /** Each move that was reported was made, and no other: so says the database that made them. */
  async expectMovesTrue(): Promise<void> {
    const said = await sql()<{ id: string; move: HandMove; count: number; records: number }[]>`
      select operation_id as id, move, count(*)::int as count, sum(records)::int as records
      from hand where operation_id = any (${this.#operations.map(({ id }) => id)}::uuid[]) group by 1, 2`
    expect(new Map(said.map((one) => [`${one.id} ${one.move}`, one.count]))).toEqual(this.moved)
    const made = await sql()<{ id: string; move: HandMove; records: number }[]>`
      select coalesce(w.operation_id, w.id) as id, m.move, count(*)::int as records
      from made_move k join write w on w.id = k.write_id
      join (values ('queued>cancelled', 'cancel'), ('failed>queued', 'retry'), ('in_doubt>queued', 'retry'),
                   ('in_doubt>succeeded', 'resolve'), ('in_doubt>failed', 'resolve')) m (made, move) on m.made = k.made
      where w.installation_id = ${this.installationId} group by 1, 2`
    const byKey = (rows: readonly { id: string; move: HandMove; records: number }[]) =>
      new Map(rows.map((row) => [`${row.id} ${row.move}`, row.records]))
    expect(byKey(made)).toEqual(byKey(said))
  }
}

describe('moves by hand among claims and settlements', () => {
  it('lose nothing, double nothing and keep every order, however they fall', async () => {
    const moved = new Map<HandMove, number>()
    const workers = fc.array(fc.array(step, { minLength: 10, maxLength: 25 }), { minLength: 3, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(workers, async (all) => {
        const world = new World()
        for (const pick of [0, 1, 2, 3, 4, 6]) await world.take({ act: 'add', pick, luck: pick })
        await Promise.all(
          all.map(async (steps) => {
            for (const one of steps) await world.take(one)
          }),
        )
        await world.drain()
        await world.expectMovesTrue()
        await expectLanesTrue(sql())
        for (const key of world.moved.keys()) {
          const move = key.split(' ')[1] as HandMove
          moved.set(move, (moved.get(move) ?? 0) + 1)
        }
      }),
      { numRuns: 12, endOnFailure: true },
    )
    for (const move of ['cancel', 'retry', 'resolve'] as const) expect(moved.get(move)).toBeGreaterThan(3)
  }, 60_000)
})
