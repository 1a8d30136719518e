import { afterAll, beforeAll, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import { failBatch } from '../../src/outcomes/record-batch.ts'
import { failExpired } from '../../src/queue/hold-lane.ts'
import { insertSending } from '../../src/queue/insert-sending.ts'
import { announceOn, putInOutbox } from '../../src/queue/outbox.ts'
import { announceEnded } from '../../src/queue/outcome-channel.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { addWrites, incoming, laneIdOf, laneKey } from '../support/queue-fixture.ts'
import { projectWith } from './rows.ts'

/** Operations that end together. */
const GROUP = 100

let database: TestDatabase
let ids: string[]
const lane = laneKey()
const lonely = laneKey()

beforeAll(async () => {
  database = await createTestDatabase()
  const { sql } = database
  await projectWith(sql, { projectId: lane.projectId })
  const many = () => Array.from({ length: GROUP }, () => incoming(lane))
  ids = await addWrites(sql, many())
  await sql`
    update write set state = 'failed', ended_at = now(), errors = '[{"code": "X", "message": "x", "fields": []}]'`
})
afterAll(() => database.drop())

interface Plan {
  'Node Type': string
  'Relation Name'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Shared Hit Blocks': number
  Plans?: Plan[]
}
const walk = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(walk)]
const reads = (plan: Plan): Plan[] =>
  walk(plan).filter((node) => node['Relation Name'] !== undefined && node['Actual Loops'] > 0)

const events = async (projectId: string): Promise<string[]> => {
  const rows = await database.sql<{ id: string }[]>`
    select operation_id as id from notification where project_id = ${projectId}`
  return rows.map(({ id }) => id)
}

it('a project without destinations pays for the look, within the statement that announces anyway', async () => {
  const { sql } = database
  const [own] = await addWrites(sql, [incoming(lonely)])
  await sql.begin(async (tx) => {
    const [row] = await tx<{ 'QUERY PLAN': { Plan: Plan }[] }[]>`
      explain (analyze, buffers, format json) ${announceOn(tx, 'nobody', own!, own!)}`
    const plan = row!['QUERY PLAN'][0]!.Plan
    const names = reads(plan).map((node) => node['Relation Name']!.replace(/_.*/, ''))
    expect(names.sort()).toEqual(['destination', 'write'])
    expect(plan['Shared Hit Blocks']).toBeLessThan(10)
  })
  await sql.begin((tx) => announceEnded(tx, [own!]))
  expect(await events(lonely.projectId)).toEqual([])
})

it('with destinations, every operation is read by its id', async () => {
  await database.sql
    .begin(async (tx) => {
      const [row] = await tx<{ 'QUERY PLAN': { Plan: Plan }[] }[]>`
        explain (analyze, buffers, format json) ${putInOutbox(tx, ids)}`
      const plan = row!['QUERY PLAN'][0]!.Plan
      expect(reads(plan).filter((node) => /Seq|Bitmap/.test(node['Node Type']))).toEqual([])
      expect(plan['Shared Hit Blocks']).toBeLessThan(GROUP * 60)
      throw new Error('undone')
    })
    .catch((error: unknown) => expect(error).toMatchObject({ message: 'undone' }))
})

it('the events stand or fall with the transaction that ends their operations', async () => {
  const { sql } = database
  const end = (fails: boolean) =>
    sql.begin(async (tx) => {
      await announceEnded(tx, ids)
      if (fails) throw new Error('undone')
    })
  const told = async () => (await events(lane.projectId)).filter((id) => ids.includes(id)).sort()
  await expect(end(true)).rejects.toThrow('undone')
  expect(await told()).toEqual([])
  await end(false)
  expect(await told()).toEqual([...ids].sort())
})

it('writes whose time is up while their lane is held are told of', async () => {
  const { sql } = database
  const held = laneKey({ projectId: lane.projectId })
  const [id] = await addWrites(sql, [incoming(held, { delaySeconds: 0, deadlineSeconds: 0 })])
  const laneId = await laneIdOf(sql, held)
  const error = { code: 'NO_WORKING_CONNECTION', message: 'No.', fields: [] }
  await sql.begin((tx) => failExpired(tx, { laneId, installationId: held.installationId }, error, 10))
  const [row] = await sql<{ data: unknown }[]>`select data from notification where operation_id = ${id!}`
  expect(row!.data).toMatchObject({ success: false, errors: [error], installationId: held.installationId })
})

it('each destination that is on is told, and only those of the project', async () => {
  const { sql } = database
  const mine = laneKey()
  const [id] = await addWrites(sql, [incoming(mine)])
  const { projectId } = mine
  const [one, two, off] = [
    await projectWith(sql, { projectId }),
    await projectWith(sql, { projectId }),
    await projectWith(sql, { projectId }),
  ]
  await projectWith(sql, { projectId: newId() })
  await sql`update destination set enabled = false, disabled_reason = 'by_hand', disabled_at = now() where id = ${off}`
  await sql.begin((tx) => announceEnded(tx, [id!]))
  const told = await sql<{ id: string }[]>`
    select destination_id as id from notification where operation_id = ${id!}`
  expect(told.map((row) => row.id).sort()).toEqual([one, two].sort())
  await sql.begin((tx) => announceEnded(tx, [id!], true))
  expect(await events(projectId)).toHaveLength(2)
})

it('a synchronous call whose process is gone is told of: nobody else hears of its end', async () => {
  const { sql } = database
  const mine = laneKey()
  const { projectId, installationId } = mine
  await projectWith(sql, { projectId })
  const error = { code: 'OUTCOME_UNKNOWN', message: 'Lost.', fields: [] }
  const end = async (onlyExpired: boolean): Promise<string> => {
    const submission = incoming(mine)
    const batchId = newId()
    const claim = { batchIds: [batchId], worker: 'gone', leaseSeconds: 60 }
    const [batch] = await insertSending(sql, { submission, ...claim })
    const { laneId } = batch!
    if (onlyExpired) await sql`update batch set lease_until = now() where id = ${batchId}`
    const facts = { batchId, laneId, installationId, keyed: false, onlyExpired }
    const ids = submission.writes.map(({ id }) => id)
    const { applied } = await failBatch(sql, () => Promise.resolve(), facts, ids, error)
    expect(applied).toBe(true)
    return ids[0]!
  }
  await end(false)
  expect(await events(projectId)).toEqual([])
  const rescued = await end(true)
  expect(await events(projectId)).toEqual([rescued])
})
