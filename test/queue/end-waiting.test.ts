import { describe, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import { endDeleted, findDeletedWaiting } from '../../src/queue/end-deleted.ts'
import { endWaiting } from '../../src/queue/end-waiting.ts'
import { onEnded } from '../../src/queue/outcome-channel.ts'
import { pruneDeleted } from '../../src/queue/prune.ts'
import { readOperation } from '../../src/queue/read.ts'
import {
  addWrites,
  claim,
  expectLanesTrue,
  incoming,
  incomingBatch,
  laneIdOf,
  laneKey,
  settle,
} from '../support/queue-fixture.ts'
import { waitUntil } from '../support/wait-until.ts'
import { failure, updates, useQueue } from './operate-fixture.ts'

const { sql, rows, states, laneRow } = useQueue()

const deleted = [{ code: 'INSTALLATION_DELETED' }]

/** Notes an installation as deleted, as its deletion does. */
const note = (installationId: string, projectId: string) =>
  sql()`insert into deleted_installation (id, project_id) values (${installationId}, ${projectId})`

describe('what waits for a deleted installation', () => {
  it('is ended with the reason: in every lane, in batches, behind others', async () => {
    const lane = laneKey()
    const { installationId, projectId } = lane
    const update = updates({ installationId, projectId })
    const [one, two] = [newId(), newId()]
    const batch = incomingBatch(lane, [{}, {}])
    const ids = await addWrites(sql(), [
      incoming(lane),
      incoming(lane, { delaySeconds: 0 }),
      incoming(update, { recordKey: one }),
      incoming(update, { recordKey: one }),
      incoming(updates({ installationId, projectId, merge: true }), { recordKey: one }),
      incoming(update, { recordKey: two }),
      batch,
    ])
    const others = await addWrites(sql(), [incoming(laneKey()), incoming(updates(), { recordKey: one })])
    const heard = new Set<string>()
    const stop = await onEnded(
      sql(),
      (ended) => ended.forEach((id) => heard.add(id)),
      () => undefined,
    )
    expect(await endDeleted(sql(), installationId, 10)).toBe(ids.length)
    expect(await rows(ids)).toMatchObject(
      ids.map(() => ({ state: 'cancelled', blocked: false, ended: true, errors: deleted })),
    )
    expect(await states(others)).toEqual(['queued', 'queued'])
    const operations = [...ids.slice(0, 6), batch.operation.id]
    await waitUntil(() => operations.every((id) => heard.has(id)), {
      timeoutMs: 5_000,
      what: 'all that ended to be told',
    })
    await stop()
    const operation = await readOperation(sql(), projectId, batch.operation.id)
    expect(operation!.records.map((record) => record.state)).toEqual(['cancelled', 'cancelled'])
    expect(await endDeleted(sql(), installationId, 10)).toBe(0)
  })

  it('is ended behind what is being sent, which is let finish and recorded', async () => {
    const lane = updates()
    const recordKey = newId()
    const [sent, behind, other] = await addWrites(sql(), [
      incoming(lane, { recordKey, maxRecords: 1 }),
      incoming(lane, { recordKey }),
      incoming(lane, { recordKey: newId() }),
    ])
    const laneId = await laneIdOf(sql(), lane)
    const { batch } = await claim(sql(), laneId)
    expect(batch!.members.map((member) => member.id)).toContain(sent)
    await endDeleted(sql(), lane.installationId, 10)
    expect(await states([sent!, behind!])).toEqual(['sending', 'cancelled'])
    await settle(sql(), batch!, () => ({ state: 'succeeded', recordId: '003000000000001AAA' }))
    expect(await rows([sent!])).toMatchObject([{ state: 'succeeded', record_id: '003000000000001AAA' }])
    expect(await states([other!])).not.toContain('queued')
    expect(await laneRow(laneId)).toMatchObject({ waiting: 0, due_at: null })
  })

  it('is found and ended when it comes back: from flight, or accepted by who had not heard', async () => {
    const lane = laneKey()
    const [back] = await addWrites(sql(), [incoming(lane, { delaySeconds: 0 })])
    const laneId = await laneIdOf(sql(), lane)
    const { batch } = await claim(sql(), laneId)
    await note(lane.installationId, lane.projectId)
    expect(await findDeletedWaiting(sql(), 10)).toEqual([])
    await settle(sql(), batch!, () => ({
      state: 'queued',
      delaySeconds: 3600,
      errors: [failure('UNABLE_TO_LOCK_ROW')],
    }))
    const [late] = await addWrites(sql(), [incoming(lane, { delaySeconds: 36_000 })])
    expect(await findDeletedWaiting(sql(), 10)).toEqual([lane.installationId])
    expect(await endDeleted(sql(), lane.installationId, 10)).toBe(2)
    expect(await rows([back!, late!])).toMatchObject([
      { state: 'cancelled', attempts: 1, errors: [...deleted, { code: 'UNABLE_TO_LOCK_ROW' }] },
      { state: 'cancelled', attempts: 0, errors: deleted },
    ])
    expect(await findDeletedWaiting(sql(), 10)).toEqual([])
  })

  it('is in doubt where an earlier try may have written it, and says so first', async () => {
    const lane = updates()
    const [id] = await addWrites(sql(), [incoming(lane, { recordKey: newId(), delaySeconds: 0 })])
    const { batch } = await claim(sql(), await laneIdOf(sql(), lane))
    await settle(sql(), batch!, () => ({
      state: 'queued',
      delaySeconds: 60,
      lost: { company: null },
      errors: [failure('TIMEOUT')],
    }))
    await endDeleted(sql(), lane.installationId, 10)
    expect(await rows([id!])).toMatchObject([
      { state: 'in_doubt', errors: [{ code: 'OUTCOME_UNKNOWN' }, ...deleted, { code: 'TIMEOUT' }] },
    ])
  })

  it('goes in chunks, the last of a record first, so that nothing is left behind what has gone', async () => {
    const lane = updates()
    const { installationId } = lane
    const [one, two] = [newId(), newId()]
    const ids = await addWrites(
      sql(),
      [one, one, two, one, two, one, one, two].map((recordKey) => incoming(lane, { recordKey })),
    )
    let all = 0
    for (let ended = 1; ended > 0; all += ended) {
      const counted = await sql().begin((tx) => endWaiting(tx, installationId, failure('GONE'), 2))
      ended = counted.cancelled
      expect(ended).toBeLessThanOrEqual(4)
      await expectLanesTrue(sql())
      const orphans = await sql()`
        select id from write w where installation_id = ${installationId} and state = 'queued' and blocked
          and not exists (select from write e where e.installation_id = w.installation_id
            and e.record_key = w.record_key and e.seq < w.seq and e.state in ('queued', 'sending'))`
      expect([...orphans]).toEqual([])
    }
    expect(all).toBe(ids.length)
    expect(new Set(await states(ids))).toEqual(new Set(['cancelled']))
  })

  it('meets claims of the same lane without ending what they took', async () => {
    const lane = laneKey()
    const ids = await addWrites(
      sql(),
      Array.from({ length: 300 }, () => incoming(lane, { delaySeconds: 0, maxRecords: 50 })),
    )
    const laneId = await laneIdOf(sql(), lane)
    const [claimed] = await Promise.all([
      Promise.all([claim(sql(), laneId), claim(sql(), laneId)]),
      endDeleted(sql(), lane.installationId, 10),
    ])
    const taken = new Set(claimed.flatMap(({ batch }) => batch?.members.map((member) => member.id) ?? []))
    for (const [index, state] of (await states(ids)).entries())
      expect(state).toBe(taken.has(ids[index]!) ? 'sending' : 'cancelled')
  })
})

it('the note of a deletion stays for as long as something can come back', async () => {
  const lane = laneKey()
  await addWrites(sql(), [incoming(lane)])
  await note(lane.installationId, lane.projectId)
  const [young, old] = [newId(), newId()]
  for (const id of [young, old]) await note(id, lane.projectId)
  await endDeleted(sql(), lane.installationId, 10)
  await sql()`update deleted_installation set deleted_at = now() - interval '2 days' where id <> ${young}`
  await pruneDeleted(sql(), new AbortController().signal)
  const left = await sql()<{ id: string }[]>`select id from deleted_installation`
  const ids = left.map((row) => row.id)
  expect([ids.includes(lane.installationId), ids.includes(young), ids.includes(old)]).toEqual([
    true,
    true,
    false,
  ])
})
