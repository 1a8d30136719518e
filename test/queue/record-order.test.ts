import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import { failExpired } from '../../src/queue/hold-lane.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addWrites,
  claim,
  expectLanesTrue,
  incoming,
  laneKey,
  refuseIllegalMoves,
  settle,
} from '../support/queue-fixture.ts'

let database: TestDatabase
const sql = () => database.sql

beforeAll(async () => {
  database = await createTestDatabase()
  await refuseIllegalMoves(database.sql)
})
afterAll(() => database.drop())

const updates = (part: Partial<LaneKey> = {}): LaneKey => laneKey({ type: 'update', ...part })
const upsertsBeside = (lane: LaneKey): LaneKey => ({
  ...lane,
  type: 'upsert',
  externalIdField: 'External_Id__c',
})
const due = (lane: LaneKey, recordKey: string) => incoming(lane, { delaySeconds: 0, recordKey })

async function lanesOf(lane: LaneKey): Promise<{ id: string; type: string }[]> {
  return sql()<{ id: string; type: string }[]>`
    select id, type from lane where installation_id = ${lane.installationId} order by type`
}
const ids = (result: Awaited<ReturnType<typeof claim>>): string[] =>
  result.batch?.members.map((member) => member.id) ?? []

describe('order per record', () => {
  it('sends one write of a record at a time, in order, and other records beside it', async () => {
    const lane = updates()
    const [a, b] = [newId(), newId()]
    const added = await addWrites(sql(), [due(lane, a), due(lane, a), due(lane, b), due(lane, a)])
    const laneId = (await lanesOf(lane))[0]!.id
    await expectLanesTrue(sql())
    const first = await claim(sql(), laneId)
    expect(ids(first)).toEqual([added[0], added[2]])
    expect(ids(await claim(sql(), laneId))).toEqual([])
    const settled = await settle(sql(), first.batch!, () => ({}))
    expect(settled.wake.map((one) => one.laneId)).toEqual([laneId])
    await expectLanesTrue(sql())
    const second = await claim(sql(), laneId)
    expect(ids(second)).toEqual([added[1]])
    await settle(sql(), second.batch!, () => ({ state: 'failed', errors: [] }))
    expect(ids(await claim(sql(), laneId))).toEqual([added[3]])
    await expectLanesTrue(sql())
  })

  it('holds back a record that waits for another try, and only that record', async () => {
    const lane = updates()
    const [a, b] = [newId(), newId()]
    const added = await addWrites(sql(), [due(lane, a), due(lane, b)])
    const laneId = (await lanesOf(lane))[0]!.id
    const first = await claim(sql(), laneId)
    await settle(sql(), first.batch!, (index) => (index === 0 ? { state: 'queued', delaySeconds: 3600 } : {}))
    added.push(...(await addWrites(sql(), [due(lane, a), due(lane, b)])))
    expect(ids(await claim(sql(), laneId))).toEqual([added[3]])
    await sql()`update write set available_at = now(), due_at = now() where id = ${added[0]!}`
    const again = await claim(sql(), laneId)
    expect(ids(again)).toEqual([added[0]])
    await settle(sql(), again.batch!, () => ({}))
    expect(ids(await claim(sql(), laneId))).toEqual([added[2]])
  })

  it('keeps the order across lanes', async () => {
    const lane = updates()
    const key = newId()
    const added = await addWrites(sql(), [due(lane, key)])
    added.push(...(await addWrites(sql(), [due(upsertsBeside(lane), key)])))
    added.push(...(await addWrites(sql(), [due(lane, key)])))
    const [update, upsert] = await lanesOf(lane)
    expect(ids(await claim(sql(), upsert!.id))).toEqual([])
    const first = await claim(sql(), update!.id)
    expect(ids(first)).toEqual([added[0]])
    const settled = await settle(sql(), first.batch!, () => ({}))
    expect(settled.wake.map((one) => one.laneId)).toEqual([upsert!.id])
    const second = await claim(sql(), upsert!.id)
    expect(ids(second)).toEqual([added[1]])
    await settle(sql(), second.batch!, () => ({}))
    expect(ids(await claim(sql(), update!.id))).toEqual([added[2]])
    await expectLanesTrue(sql())
  })

  it('goes on when the first of a chain runs out of time', async () => {
    const lane = updates()
    const key = newId()
    const added = await addWrites(sql(), [due(lane, key), due(lane, key)])
    const laneId = (await lanesOf(lane))[0]!.id
    await sql()`update write set deadline_at = now() - interval '1 s' where id = ${added[0]!}`
    const at = { laneId, installationId: lane.installationId }
    const reason = { code: 'NO_WORKING_CONNECTION', message: 'broken', fields: [] }
    await sql().begin((tx) => failExpired(tx, at, reason, 10))
    expect(ids(await claim(sql(), laneId))).toEqual([added[1]])
    await expectLanesTrue(sql())
  })

  it('holds whatever several processes do at once: in order, one at a time, none left behind', async () => {
    const scenario = fc.record({
      records: fc.integer({ min: 1, max: 4 }),
      commits: fc.array(fc.array(fc.tuple(fc.nat(3), fc.boolean()), { minLength: 1, maxLength: 6 }), {
        minLength: 2,
        maxLength: 6,
      }),
      retries: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
    })
    await fc.assert(
      fc.asyncProperty(scenario, async ({ records, commits, retries }) => {
        const lane = updates()
        const other = upsertsBeside(lane)
        const keys = Array.from({ length: records }, () => newId())
        const sent = new Map<string, string[]>(keys.map((key) => [key, []]))
        const keyOf = new Map<string, string>()
        const inFlight = new Set<string>()
        let draws = 0
        const sendOne = async (laneId: string): Promise<boolean> => {
          const { batch } = await claim(sql(), laneId)
          if (batch === null) return false
          const rows = await sql()<{ id: string; record_key: string }[]>`
            select id, record_key from write where id = any (${batch.members.map((member) => member.id)}::uuid[])`
          for (const row of rows) {
            expect(inFlight.has(row.record_key)).toBe(false)
            inFlight.add(row.record_key)
            keyOf.set(row.id, row.record_key)
          }
          const again = batch.members.map(() => retries[draws++ % retries.length]! && draws < 200)
          batch.members.forEach((member, index) => {
            inFlight.delete(keyOf.get(member.id)!)
            if (!again[index]) sent.get(keyOf.get(member.id)!)!.push(member.id)
          })
          await settle(sql(), batch, (index) => (again[index] ? { state: 'queued', delaySeconds: 0 } : {}))
          return true
        }
        const adding = commits.map(async (commit) => {
          await addWrites(
            sql(),
            commit.map(([record, beside]) => due(beside ? other : lane, keys[record % records]!)),
          )
        })
        let done = false
        const sending = Array.from({ length: 2 }, async () => {
          while (!done) for (const { id } of await lanesOf(lane)) await sendOne(id)
        })
        await Promise.all(adding)
        done = true
        await Promise.all(sending)
        for (let busy = true; busy;) {
          busy = false
          for (const { id } of await lanesOf(lane)) busy = (await sendOne(id)) || busy
        }
        const rows = await sql()<{ id: string; record_key: string; state: string }[]>`
          select id, record_key, state from write where installation_id = ${lane.installationId} order by seq`
        expect(rows.filter((row) => row.state !== 'succeeded')).toEqual([])
        for (const key of keys)
          expect(sent.get(key)).toEqual(rows.filter((row) => row.record_key === key).map((row) => row.id))
        await expectLanesTrue(sql())
      }),
      { numRuns: 25 },
    )
  })
})
