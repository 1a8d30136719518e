import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { createApiKey, hashKey } from '../../src/connections/api-keys.ts'
import { createDirectory, type Directory } from '../../src/connections/directory.ts'
import { KnownKeys } from '../../src/connections/known-keys.ts'
import { createProject } from '../../src/connections/projects.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { systemClock, type Clock } from '../../src/kernel/clock.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { oneStory } from '../support/one-story.ts'

// Watched, not replaced.
vi.mock('../../src/connections/api-keys.ts', { spy: true })

/** A clock with one timer, which the test lets run out. */
function oneTimer(): { clock: Clock; expire: () => void } {
  let due: () => void = () => undefined
  const after: Clock['after'] = (_, run) => {
    due = run
    return () => undefined
  }
  return { clock: { ...systemClock, after }, expire: () => due() }
}

describe('keys that were given before', oneStory, () => {
  describe('known keys', () => {
    it('are held for a time, whether they are used or not', () => {
      const { clock, expire } = oneTimer()
      const keys = new KnownKeys<number>({ max: 10, ttlMs: 5, clock })
      keys.keep('a', 1)
      expire()
      expect([keys.get('a'), keys.get('b'), keys.size]).toEqual([1, undefined, 1])
      keys.keep('b', 2)
      expire()
      expect([keys.get('a'), keys.get('b'), keys.size]).toEqual([undefined, 2, 1])
      expire()
      expect([keys.get('b'), keys.size]).toEqual([undefined, 0])
    })

    it('are bounded in number', () => {
      const keys = new KnownKeys<number>({ max: 2, ttlMs: 5, clock: oneTimer().clock })
      for (const key of ['a', 'b', 'c']) keys.keep(key, 1)
      expect([keys.get('b'), keys.get('c'), keys.size]).toEqual([1, undefined, 2])
    })
  })

  describe('a request', () => {
    let database: TestDatabase
    let directory: Directory
    let key: string
    beforeAll(async () => {
      database = await createTestDatabase()
      const project = await createProject(database.sql, { name: 'keys' })
      key = (await createApiKey(database.sql, project.id, { label: 'k', scopes: ['read'] })).key
      directory = createDirectory(database.sql, { adminKey: 'operator', logger: silentLogger, ttlMs: 0 })
    })
    beforeEach(() => {
      vi.mocked(hashKey).mockClear()
    })
    afterAll(() => database.drop())

    it('with a key that was valid a moment ago costs no hash', async () => {
      for (let time = 0; time < 5; time++) {
        expect(await directory.authenticate(key)).toMatchObject({ kind: 'project' })
        expect(await directory.authenticate('operator')).toEqual({ kind: 'admin' })
      }
      expect(hashKey).toHaveBeenCalledTimes(2)
    })

    it('with one that is not valid is hashed each time, and one that is revoked is refused', async () => {
      const wrong = `wb_${'A'.repeat(43)}`
      for (let time = 0; time < 3; time++) expect(await directory.authenticate(wrong)).toBeNull()
      expect(hashKey).toHaveBeenCalledTimes(3)
      expect(await directory.authenticate(key)).not.toBeNull()
      await database.sql`delete from api_key`
      expect(await directory.authenticate(key)).toBeNull()
    })
  })
})
