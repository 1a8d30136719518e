import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { failExpired, holdLane } from '../../src/queue/hold-lane.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addWrites,
  claim,
  expectLanesTrue,
  incoming,
  laneIdOf,
  laneKey,
  refuseIllegalMoves,
  readWrite,
} from '../support/queue-fixture.ts'
import { oneStory } from '../support/one-story.ts'

let database: TestDatabase
const sql = () => database.sql
const reason = { code: 'NO_WORKING_CONNECTION', message: 'The connection is broken.', fields: [] }

beforeAll(async () => {
  database = await createTestDatabase()
  await refuseIllegalMoves(database.sql)
})
afterAll(() => database.drop())

describe('a lane that cannot be sent', oneStory, () => {
  it('is put off without a move of its writes, and is what it was when it can be sent', async () => {
    const lane = laneKey()
    const ids = await addWrites(
      sql(),
      Array.from({ length: 120 }, () => incoming(lane)),
    )
    const laneId = await laneIdOf(sql(), lane)
    const before = await sql()`select id, xmin::text from write where lane_id = ${laneId} order by id`
    const at = await sql().begin((tx) => holdLane(tx, laneId, 15, 'connection'))
    expect(at!.getTime() - Date.now()).toBeGreaterThan(10_000)
    expect([
      ...(await sql()`select id, xmin::text from write where lane_id = ${laneId} order by id`),
    ]).toEqual([...before])
    const { batch } = await claim(sql(), laneId)
    expect(batch!.members.map((member) => member.id)).toEqual(ids.slice(0, 100))
    await expectLanesTrue(sql())
  })

  it('is not woken for nothing when nothing waits in it', async () => {
    const lane = laneKey()
    await addWrites(sql(), [incoming(lane, { delaySeconds: 0 })])
    const laneId = await laneIdOf(sql(), lane)
    await claim(sql(), laneId)
    expect(await sql().begin((tx) => holdLane(tx, laneId, 15, 'connection'))).toBeNull()
  })

  it('ends what has waited until its deadline, with the reason, and nothing else', async () => {
    const lane = laneKey()
    const [old, tried, young, later] = await addWrites(sql(), [
      incoming(lane, { delaySeconds: 0 }),
      incoming(lane, { delaySeconds: 0 }),
      incoming(lane, { delaySeconds: 0 }),
      incoming(lane, { delaySeconds: 86_400 }),
    ])
    const own = { code: 'UNABLE_TO_LOCK_ROW', message: 'locked', fields: [] }
    await sql()`update write set deadline_at = now() - interval '1 s' where id = any (${[old!, tried!, later!]}::uuid[])`
    await sql()`update write set errors = ${sql().json([own])} where id = ${tried!}`
    const laneId = await laneIdOf(sql(), lane)
    const expire = async (limit: number): Promise<number> => {
      const at = { laneId, installationId: lane.installationId }
      return (await sql().begin((tx) => failExpired(tx, at, reason, limit))).ended
    }
    expect(await expire(1)).toBe(1)
    expect(await expire(10)).toBe(1)
    expect(await expire(10)).toBe(0)
    const views = await Promise.all(
      [old, tried, young, later].map((id) => readWrite(sql(), lane.projectId, id!)),
    )
    expect(views.map((view) => view!.state)).toEqual(['failed', 'failed', 'queued', 'queued'])
    expect(views[0]!.errors).toEqual([reason])
    expect(views[1]!.errors).toEqual([own])
    await expectLanesTrue(sql())
  })

  it('leaves in doubt what an earlier try may have written', async () => {
    const lane = laneKey({ type: 'update' })
    const ids = await addWrites(
      sql(),
      Array.from({ length: 3 }, () => incoming(lane, { delaySeconds: 0 })),
    )
    const [, told, retried] = ids
    const own = { code: 'ECONNRESET', message: 'cut off', fields: [] }
    const unknown = { code: 'OUTCOME_UNKNOWN', message: 'unknown', fields: [] }
    await sql()`update write set deadline_at = now() - interval '1 s', lost_in = array[id], attempts = 1 where id = any (${ids}::uuid[])`
    await sql()`update write set errors = ${sql().json([own])} where id = ${told!}`
    await sql()`update write set errors = ${sql().json([unknown, own])} where id = ${retried!}`
    const laneId = await laneIdOf(sql(), lane)
    await sql()`update lane set waiting = 0 where id = ${laneId}`
    const at = { laneId, installationId: lane.installationId }
    expect((await sql().begin((tx) => failExpired(tx, at, reason, 10))).ended).toBe(3)
    const views = await Promise.all(ids.map((id) => readWrite(sql(), lane.projectId, id)))
    expect(views.map((view) => view!.state)).toEqual(['in_doubt', 'in_doubt', 'in_doubt'])
    const codes = views.map((view) => view!.errors!.map(({ code }) => code))
    expect(codes).toEqual([
      ['OUTCOME_UNKNOWN', reason.code],
      ['OUTCOME_UNKNOWN', 'ECONNRESET'],
      ['OUTCOME_UNKNOWN', 'ECONNRESET'],
    ])
  })
})
