import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { companyOf, UNKNOWN_COMPANY } from '../../src/model/lost-try.ts'
import { newId } from '../../src/kernel/ids.ts'
import { readAttempts } from '../../src/queue/read.ts'
import { extendLeases, startBatches } from '../../src/queue/start-batch.ts'
import { findExpiredBatches } from '../../src/queue/sweep.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addWrites,
  claim,
  expectLanesTrue,
  incoming,
  laneIdOf,
  laneKey,
  refuseIllegalMoves,
  settle,
  readWrite,
} from '../support/queue-fixture.ts'

let database: TestDatabase
const sql = () => database.sql

beforeAll(async () => {
  database = await createTestDatabase()
  await refuseIllegalMoves(database.sql)
})
afterAll(() => database.drop())

async function claimed(count: number) {
  const lane = laneKey()
  const ids = await addWrites(
    sql(),
    Array.from({ length: count }, () => incoming(lane, { delaySeconds: 0 })),
  )
  const laneId = await laneIdOf(sql(), lane)
  const { batch } = await claim(sql(), laneId)
  return { lane, laneId, ids, batch: batch! }
}

const error = {
  code: 'REQUIRED_FIELD_MISSING',
  message: 'Required fields are missing: [LastName]',
  fields: ['LastName'],
}
const statesOf = async (ids: string[]): Promise<string[]> => {
  const rows = await sql()<
    { id: string; state: string }[]
  >`select id, state from write where id = any (${ids}::uuid[])`
  return ids.map((id) => rows.find((row) => row.id === id)!.state)
}

describe('settling a batch', () => {
  it('gives each member its own outcome, and writes down the attempt', async () => {
    const { lane, ids, batch } = await claimed(4)
    expect(await startBatches(sql(), [batch.batchId], 60)).toEqual(new Set([batch.batchId]))
    const settled = await settle(
      sql(),
      batch,
      (index) =>
        [
          { recordId: '001RM000003oLruYAE', created: true },
          { state: 'failed' as const, errors: [error] },
          { state: 'queued' as const, delaySeconds: 30, errors: [error] },
          { state: 'in_doubt' as const, errors: [error] },
        ][index]!,
    )
    expect(settled.applied).toBe(true)
    expect(settled.ended).toHaveLength(3)
    expect(await statesOf(ids)).toEqual(['succeeded', 'failed', 'queued', 'in_doubt'])
    const written = await readWrite(sql(), lane.projectId, ids[0]!)
    expect(written).toMatchObject({
      recordId: '001RM000003oLruYAE',
      created: true,
      errors: null,
      attempts: 1,
    })
    expect(await readWrite(sql(), lane.projectId, ids[1]!)).toMatchObject({ errors: [error], recordId: null })
    const [attempt] = await readAttempts(sql(), [ids[2]!])
    expect(attempt).toMatchObject({
      number: 1,
      decision: 'retry',
      position: 2,
      batchSize: 4,
      errors: [error],
      batchId: batch.batchId,
    })
    expect(attempt!.nextAt).not.toBeNull()
    expect(attempt!.startedAt).not.toBeNull()
    await expectLanesTrue(sql())
  })

  it('is fenced: the second to settle changes nothing', async () => {
    const { ids, batch } = await claimed(2)
    await settle(sql(), batch, () => ({ state: 'queued' }))
    const again = await settle(sql(), batch, () => ({ state: 'failed', errors: [error] }))
    expect(again).toEqual({ applied: false, ended: [], wake: [] })
    expect(await statesOf(ids)).toEqual(['queued', 'queued'])
  })

  it('is fenced: a stale batch cannot touch members that another one holds by now', async () => {
    const { ids, laneId, batch } = await claimed(2)
    await settle(sql(), batch, () => ({ state: 'queued' }))
    const second = (await claim(sql(), laneId)).batch!
    expect(second.members.map((member) => member.id)).toEqual(ids)
    // as if the first batch had been left open by mistake: the members' own fence still holds
    await sql()`update batch set state = 'started', ended_at = null where id = ${batch.batchId}`
    const stale = await settle(sql(), batch, () => ({ state: 'succeeded', recordId: 'stale' }))
    expect(stale.ended).toEqual([])
    expect(await statesOf(ids)).toEqual(['sending', 'sending'])
    await settle(sql(), second, () => ({ state: 'failed', errors: [error] }))
    expect(await statesOf(ids)).toEqual(['failed', 'failed'])
  })

  it('spends no attempt on what was never sent', async () => {
    const { lane, ids, batch } = await claimed(2)
    await settle(sql(), batch, () => ({ state: 'queued' }), {
      called: false,
      answer: 'released',
      providerStatus: null,
    })
    for (const id of ids) {
      expect(await readWrite(sql(), lane.projectId, id)).toMatchObject({
        state: 'queued',
        attempts: 0,
        lastAttemptAt: null,
      })
      expect(await readAttempts(sql(), [id])).toEqual([])
    }
    await expectLanesTrue(sql())
  })

  it('starts a batch once, and only while its lease holds', async () => {
    const { batch } = await claimed(1)
    expect(await startBatches(sql(), [batch.batchId], 60)).toEqual(new Set([batch.batchId]))
    expect(await startBatches(sql(), [batch.batchId], 60)).toEqual(new Set())
    const other = (await claimed(1)).batch
    await sql()`update batch set lease_until = now() - interval '1 s' where id = ${other.batchId}`
    expect(await startBatches(sql(), [other.batchId], 60)).toEqual(new Set())
    expect(await startBatches(sql(), [newId()], 60)).toEqual(new Set())
  })

  it('lets a rescue settle a batch only once its lease has run out, and has not been kept since', async () => {
    const { ids, batch } = await claimed(3)
    const early = await settle(sql(), batch, () => ({ state: 'queued' }), { onlyExpired: true })
    expect(early.applied).toBe(false)
    const find = async () =>
      (await findExpiredBatches(sql(), 15, 10)).find((one) => one.batchId === batch.batchId)
    expect(await find()).toBeUndefined()
    const runOut = () =>
      sql()`update batch set lease_until = now() - interval '1 s' where id = ${batch.batchId}`
    await runOut()
    expect(await find()).toBeDefined()
    await extendLeases(sql(), [batch.batchId], 60)
    expect(await find()).toBeUndefined()
    const outrun = await settle(sql(), batch, () => ({ state: 'queued' }), { onlyExpired: true })
    expect(outrun.applied).toBe(false)
    await runOut()
    const expired = await find()
    expect(expired).toMatchObject({ started: false, type: 'create' })
    expect(expired!.members.map((member) => member.id)).toEqual(ids)
    const rescued = await settle(sql(), batch, () => ({ state: 'queued' }), {
      onlyExpired: true,
      called: false,
    })
    expect(rescued.applied).toBe(true)
    await extendLeases(sql(), [batch.batchId], 60)
    expect(await sql()`select 1 from batch where id = ${batch.batchId} and lease_until > now()`).toEqual([])
    expect(await statesOf(ids)).toEqual(['queued', 'queued', 'queued'])
    await expectLanesTrue(sql())
  })

  it('of before a restart is nobody else to settle until its worker had time to come back', async () => {
    const { batch } = await claimed(1)
    const isFound = async (graceSeconds: number): Promise<boolean> =>
      (await findExpiredBatches(sql(), graceSeconds, 100)).some((one) => one.batchId === batch.batchId)
    await sql()`
      update batch set lease_until = now() - interval '1 s', claimed_at = pg_postmaster_start_time() - interval '1 s'
      where id = ${batch.batchId}`
    expect(await isFound(24 * 3600)).toBe(false)
    expect(await isFound(0)).toBe(true)
    await sql()`update batch set claimed_at = now() where id = ${batch.batchId}`
    expect(await isFound(24 * 3600)).toBe(true)
    await settle(sql(), batch, () => ({ state: 'queued' }))
  })

  it('keeps in which batches its answer was lost, within a bound, until it is known what became of it', async () => {
    const { ids, laneId, batch } = await claimed(2)
    const lostIn = async (): Promise<(string[] | null)[]> => {
      const rows = await sql()<
        { id: string; lostIn: string[] | null }[]
      >`select id, lost_in as "lostIn" from write where id = any (${ids}::uuid[])`
      return ids.map((id) => rows.find((row) => row.id === id)!.lostIn)
    }
    const byItself = { company: null }
    await settle(sql(), batch, (index) => ({ state: 'queued', lost: index === 0 ? byItself : null }))
    expect(await lostIn()).toEqual([[batch.batchId], null])
    const again = (await claim(sql(), laneId)).batch!
    expect(again.members.map((member) => member.lostIn)).toEqual([[batch.batchId], []])
    await settle(sql(), again, () => ({ state: 'queued', lost: byItself }))
    expect(await lostIn()).toEqual([[batch.batchId, again.batchId], [again.batchId]])
    await sql()`update write set lost_in = array_fill(${newId()}::uuid, array[32]) where id = ${ids[0]!}`
    const third = (await claim(sql(), laneId)).batch!
    await settle(sql(), third, () => ({ state: 'queued', lost: byItself }))
    // a mark of its own: what it shared with others is not known any more
    expect(await lostIn()).toEqual([
      [ids[0], UNKNOWN_COMPANY],
      [again.batchId, third.batchId],
    ])
    const company = companyOf(ids)
    const fourth = (await claim(sql(), laneId)).batch!
    await settle(sql(), fourth, () => ({ state: 'queued', lost: { company } }))
    const merged = [again.batchId, third.batchId, fourth.batchId, company]
    expect((await lostIn())[1]).toEqual(merged)
    const last = (await claim(sql(), laneId)).batch!
    await settle(sql(), last, (index) => ({ state: index === 0 ? 'failed' : 'in_doubt' }))
    expect(await lostIn()).toEqual([null, merged])
  })

  it('forgets the tries whose answers were lost once they are known to have written nothing', async () => {
    const { ids, laneId, batch } = await claimed(2)
    await settle(sql(), batch, () => ({ state: 'queued', lost: { company: null } }))
    const again = (await claim(sql(), laneId)).batch!
    await settle(sql(), again, (index) => ({ state: 'queued', unwritten: index === 0 }))
    const last = (await claim(sql(), laneId)).batch!
    expect(last.members.map(({ id, lostIn }) => [id, lostIn])).toEqual([
      [ids[0], []],
      [ids[1], [batch.batchId]],
    ])
    await settle(sql(), last, () => ({}))
  })
})
