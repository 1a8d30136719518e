import { afterAll, beforeAll, expect, it } from 'vitest'
import { newId } from '../../src/kernel/ids.ts'
import { claimMessages } from '../../src/notify/claim-messages.ts'
import { defaultDispatch } from '../../src/notify/dispatcher.ts'
import { readOutbox } from '../../src/notify/read-outbox.ts'
import { settleFailed } from '../../src/notify/settle-message.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { projectWith, putEvents } from './rows.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

it('what waits in the outbox is told, of destinations that are on', async () => {
  const { sql } = database
  expect(await readOutbox(sql)).toEqual({ fresh: 0, again: 0, lateSeconds: 0, failing: 0 })
  const [works, off, later] = [
    await projectWith(sql),
    await projectWith(sql),
    await projectWith(sql, { digest: [10, 600] }),
  ]
  for (const id of [works, off, later]) await putEvents(sql, id, 5)
  await sql`update destination set enabled = false, disabled_reason = 'by_hand', disabled_at = now() where id = ${off}`
  await sql`update notification set due_at = due_at - interval '100 seconds'`
  const before = await readOutbox(sql)
  expect(before).toMatchObject({ fresh: 10, again: 0, failing: 0 })
  expect(Math.round(before.lateSeconds / 10)).toBe(10)
  const [one, ...sent] = await claimMessages(sql, newId(), { ...defaultDispatch, slots: 3 }, [works])
  expect(sent).toHaveLength(2)
  const failed = { status: null, error: 'cut', delaySeconds: 20, askedSeconds: 0, isGone: false }
  await settleFailed(sql, { ...one!, ...failed })
  expect(await readOutbox(sql)).toMatchObject({ fresh: 7, again: 1, failing: 1 })
})
