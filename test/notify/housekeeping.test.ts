import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCipher, keyIdOf, keysById } from '../../src/connections/cipher.ts'
import { randomBytes } from 'node:crypto'
import { silentLogger } from '../../src/kernel/log.ts'
import { newId } from '../../src/kernel/ids.ts'
import { createDestination, rotateSecret } from '../../src/notify/destinations.ts'
import { defaultDispatch, retryDelay } from '../../src/notify/dispatcher.ts'
import { TIMEOUT_MS } from '../../src/notify/post-message.ts'
import { findMissingSecretKeys, reencryptSecrets } from '../../src/notify/reencrypt-secrets.ts'
import { removeOldNotifications } from '../../src/notify/remove-old.ts'
import { secretPurpose } from '../../src/notify/secrets.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { projectWith, putEvents } from './rows.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

it('events go when they are old: what has ended, and what waits for a destination that is off or gone', async () => {
  const { sql } = database
  const [on, off, gone] = [await projectWith(sql), await projectWith(sql), await projectWith(sql)]
  const kept: string[] = []
  const old: string[] = []
  for (const [id, keep] of [
    [on, true],
    [off, false],
    [gone, false],
  ] as const) {
    const [waits, done, packed, fresh] = await putEvents(sql, id, 4)
    await sql`update notification set state = 'delivered', ended_at = now() where id = ${done!}`
    await sql`update notification set state = 'packed', head_id = ${done!} where id = ${packed!}`
    const age = (event: string, days: number) => sql`
      update notification set id = overlay(id::text placing left(uuid_at(now() - make_interval(days => ${days}))::text, 13) from 1)::uuid,
        head_id = null, state = case when state = 'packed' then 'delivered' else state end,
        ended_at = case when state in ('packed', 'delivered') then now() end
      where id = ${event} returning id`
    const aged = async (event: string): Promise<string> => (await age(event, 8))[0]!['id'] as string
    const [oldWaits, oldDone, oldPacked] = [await aged(waits!), await aged(done!), await aged(packed!)]
    ;(keep ? kept : old).push(oldWaits)
    old.push(oldDone, oldPacked)
    kept.push(fresh!)
  }
  await sql`update destination set enabled = false, disabled_reason = 'by_hand', disabled_at = now() where id = ${off}`
  await sql`delete from destination where id = ${gone}`
  expect(await removeOldNotifications(sql, new AbortController().signal)).toBe(old.length)
  const left = await sql<{ id: string }[]>`select id from notification`
  expect(left.map(({ id }) => id).sort()).toEqual(kept.sort())
})

describe('signing secrets', () => {
  it('move to another key, the old one of a destination too', async () => {
    const { sql } = database
    const [before, after] = [randomBytes(32), randomBytes(32)]
    const cipherWith = (current: Buffer) =>
      createCipher({ keys: keysById(before, after), current: keyIdOf(current) })
    const projectId = newId()
    await sql`delete from destination`
    await sql`insert into project (id, name) values (${projectId}, 'moving')`
    const input = { name: 'moving', url: 'https://hooks.example', digest: null }
    const made = await createDestination(sql, cipherWith(before), projectId, input)
    const rotated = await rotateSecret(sql, cipherWith(before), projectId, made.id)
    expect(await findMissingSecretKeys(sql, [keyIdOf(after)])).toEqual([keyIdOf(before)])
    const move = () => reencryptSecrets(sql, cipherWith(after), keyIdOf(after), silentLogger)
    expect(await move()).toEqual({ secrets: 1, unreadable: 0 })
    expect(await move()).toEqual({ secrets: 0, unreadable: 0 })
    expect(await findMissingSecretKeys(sql, [keyIdOf(after)])).toEqual([])
    const alone = createCipher({ keys: keysById(after), current: keyIdOf(after) })
    const [row] = await sql<{ secret: Buffer; old: Buffer }[]>`
      select secret, old_secret as old from destination where id = ${made.id}`
    const opened = [row!.secret, row!.old].map((data) => alone.decrypt(data, secretPurpose(made.id)))
    expect(opened).toEqual([rotated!.secret, made.secret])
    const lost = createCipher({ keys: keysById(before), current: keyIdOf(before) })
    expect(await reencryptSecrets(sql, lost, keyIdOf(before), silentLogger)).toEqual({
      secrets: 0,
      unreadable: 1,
    })
  })
})

it('the first retry comes within 30 s of a failure, and about twenty attempts fit into a day', () => {
  const { pollMs } = defaultDispatch
  for (const random of [0, 0.5, 0.999]) {
    // An attempt may have to end before there is a slot.
    const late = (pollMs + TIMEOUT_MS) / 1000
    expect(retryDelay(1, defaultDispatch, random) + late).toBeLessThan(30)
    expect(defaultDispatch.retry.askedFirstSeconds + late).toBeLessThan(30)
    let seconds = 0
    let attempts = 1
    for (; seconds < 24 * 3_600; attempts += 1) {
      const delay = retryDelay(attempts, defaultDispatch, random)
      expect(delay).toBeGreaterThanOrEqual(5)
      expect(delay).toBeLessThanOrEqual(7_200)
      seconds += delay
    }
    expect([attempts >= 15, attempts <= 35]).toEqual([true, true])
  }
})
