import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import { INTERACTION_KEY, INTERACTIONS, MAX_INTERACTIONS } from '../../src/model/engagement.ts'
import type { LaneKey } from '../../src/model/lane.ts'
import type { Packing } from '../../src/model/object-entry.ts'
import { claimCall, type ClaimedCall } from '../../src/queue/claim-call.ts'
import { lockForClaim } from '../../src/queue/claim-batch.ts'
import { claimWrites } from '../../src/queue/claim-write.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  addWrites,
  claim,
  expectLanesTrue,
  incoming,
  laneIdOf,
  laneKey,
  refuseIllegalMoves,
} from '../support/queue-fixture.ts'

let database: TestDatabase
const sql = () => database.sql

beforeAll(async () => {
  database = await createTestDatabase()
  await refuseIllegalMoves(database.sql)
})
afterEach(() => expectLanesTrue(sql()))
afterAll(() => database.drop())

const interactions = (): LaneKey => laneKey({ objectName: INTERACTIONS, externalIdField: INTERACTION_KEY })

const add = (key: LaneKey, count: number, delaySeconds: number): Promise<string[]> =>
  addWrites(
    sql(),
    Array.from({ length: count }, () =>
      incoming(key, {
        delaySeconds,
        ...(key.objectName === INTERACTIONS ? { maxRecords: MAX_INTERACTIONS } : {}),
      }),
    ),
  )

const idOf = async ({ installationId, objectName }: LaneKey): Promise<string> => {
  const [row] = await sql()<{ id: string }[]>`
    select id from lane where installation_id = ${installationId} and object_name = ${objectName}`
  return row!.id
}

const claimFor = async (key: LaneKey, packing: Packing): Promise<ClaimedCall> => {
  const laneId = await idOf(key)
  return sql().begin((tx) =>
    claimCall(tx, {
      laneId,
      installationId: key.installationId,
      org: key.installationId,
      packing,
      apiBudgetPercent: 90,
      maxConcurrency: 4,
      worker: 'test',
      leaseSeconds: 60,
      maxBytes: 1_000_000,
    }),
  )
}

const shape = (call: ClaimedCall): string[] =>
  call.batches.map((batch) => `${batch.objectName} ${batch.members.length}`)

describe('a group of interactions', () => {
  it('never holds more than 25, however it is claimed', async () => {
    const key = interactions()
    const ids = await add(key, 130, 3600)
    const laneId = await laneIdOf(sql(), key)
    const claims = [
      await claim(sql(), laneId),
      await claim(sql(), laneId, 1_000_000, { rides: true }),
      await claim(sql(), laneId, 1_000_000, { synchronous: true }),
    ]
    expect(claims.map(({ batch }) => batch!.members.length)).toEqual([25, 25, 25])
    const taken = claims.flatMap(({ batch }) => batch!.members.map((member) => member.id))
    const left = ids.filter((id) => !taken.includes(id))
    const heads = await sql().begin(async (tx) => {
      await lockForClaim(tx, [laneId])
      return claimWrites(tx, {
        laneId,
        writeIds: left,
        batchId: newId(),
        worker: 'test',
        leaseSeconds: 60,
        maxBytes: 1_000_000,
        whole: false,
        own: false,
      })
    })
    expect(heads).toMatchObject({ members: { length: 25 } })
    expect(shape(await claimFor(key, 'riders'))).toEqual([`${INTERACTIONS} 25`])
  })

  it('leaves in a call of its own: nothing rides with it, and it rides with nothing', async () => {
    const key = interactions()
    const others = [0, 60].map((delay) => ({ delay, key: { ...key, objectName: `Object${delay}__c` } }))
    for (const other of others) await add({ ...other.key, externalIdField: null }, 2, other.delay)
    await add(key, 3, 0)
    for (const packing of ['ready', 'riders'] as const) {
      const own = await claimFor(key, packing)
      expect(shape(own)).toEqual(packing === 'ready' ? [`${INTERACTIONS} 3`] : [`${INTERACTIONS} 2`])
      if (packing === 'ready') await add(key, 2, 0)
    }
    await add(key, 1, 0)
    expect(shape(await claimFor(others[0]!.key, 'riders'))).toEqual(['Object0__c 2', 'Object60__c 2'])
    expect(shape(await claimFor(key, 'riders'))).toEqual([`${INTERACTIONS} 1`])
  })

  it('that is due keeps no other lane’s wake-up', async () => {
    const key = interactions()
    const other = { ...key, objectName: 'Later__c', externalIdField: null }
    await add(key, 1, 0)
    await add(other, 1, 600)
    const call = await claimFor(other, 'ready')
    expect([call.batches, call.wake]).toMatchObject([[], [{ laneId: await idOf(other) }]])
    const early = await claimFor({ ...key }, 'riders')
    expect(shape(early)).toEqual([`${INTERACTIONS} 1`])
  })
})
