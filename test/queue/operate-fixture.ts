import { afterAll, afterEach, beforeAll } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import type { HandRequest } from '../../src/model/by-hand.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import { createOperate, type Operate } from '../../src/queue/operate.ts'
import type { WokenLane } from '../../src/queue/record-order.ts'
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
} from '../support/queue-fixture.ts'

/** A write as it is kept. */
export interface Row {
  id: string
  state: string
  blocked: boolean
  attempts: number
  rollbacks: number
  merged: boolean
  record_id: string | null
  created: boolean | null
  errors: { code: string }[] | null
  ended: boolean
  /** Seconds from now. */
  deadline_in: number
}

/** The API key that asks for every move here. */
export const keyId = newId()

export const asks = (lane: LaneKey, operationId: string): HandRequest => ({
  projectId: lane.projectId,
  operationId,
  keyId,
})

export const updates = (part: Partial<LaneKey> = {}): LaneKey => laneKey({ type: 'update', ...part })

export const failure = (code: string) => ({ code, message: code, fields: [] })
export const doubted = {
  state: 'in_doubt' as const,
  errors: [failure('OUTCOME_UNKNOWN'), failure('TIMEOUT')],
}

/** A database for a file's tests, which refuses illegal moves and whose lanes are true after each. */
export function useQueue() {
  let database: TestDatabase
  const woken: WokenLane[] = []
  beforeAll(async () => {
    database = await createTestDatabase()
    await refuseIllegalMoves(database.sql)
  })
  const told: string[] = []
  afterEach(async () => {
    woken.length = 0
    told.length = 0
    await expectLanesTrue(database.sql)
  })
  afterAll(() => database.drop())

  const sql = () => database.sql
  /** Writes in the order of the ids. */
  const rows = async (ids: string[]): Promise<Row[]> => {
    const found = await sql()<Row[]>`
      select id, state, blocked, attempts, rollbacks, merged, record_id, created, errors, ended_at is not null as ended,
        extract(epoch from deadline_at - now())::float8 as deadline_in
      from write where id = any (${ids}::uuid[])`
    return ids.map((id) => found.find((row) => row.id === id)!)
  }
  return {
    sql,
    /** Wake-ups that the moves set. */
    woken,
    /** What was told of writes that ended: `failed CODE 1`. */
    told,
    byHand: (): Operate =>
      createOperate({
        sql: sql(),
        nudge: (_tx, wakeups) => {
          woken.push(...wakeups)
          return Promise.resolve()
        },
        telemetry: {
          ended: (...of) => {
            if (of[2] > 0) told.push(of.join(' '))
          },
        },
      }),
    rows,
    states: async (ids: string[]): Promise<string[]> => (await rows(ids)).map((row) => row.state),
    laneRow: async (laneId: string) => {
      const [row] = await sql()<
        { waiting: number; max_records: number; due_at: Date | null; soon: boolean }[]
      >`
        select waiting, max_records, due_at, due_at <= now() as soon from lane where id = ${laneId}`
      return row!
    },
    /** One write, claimed and settled. */
    settled: async (lane: LaneKey, outcome: Parameters<typeof settle>[2], write: object = {}) => {
      const [id] = await addWrites(sql(), [incoming(lane, { delaySeconds: 0, ...write })])
      const laneId = await laneIdOf(sql(), lane)
      await settle(sql(), (await claim(sql(), laneId)).batch!, outcome)
      return { id: id!, laneId }
    },
  }
}
