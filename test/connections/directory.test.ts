import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createApiKey } from '../../src/connections/api-keys.ts'
import { createDirectory, type Directory } from '../../src/connections/directory.ts'
import { createIntegration } from '../../src/connections/integrations.ts'
import { createProject, type ProjectRow } from '../../src/connections/projects.ts'
import { connect, type Sql } from '../../src/db/connect.ts'
import { newId } from '../../src/kernel/ids.ts'
import { silentLogger } from '../../src/kernel/log.ts'
import { createTestDatabase } from '../support/database.ts'

type Database = Awaited<ReturnType<typeof createTestDatabase>>

let database: Database
let sql: Sql
let project: ProjectRow
const stops: (() => Promise<void>)[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  sql = database.sql
  project = await createProject(sql, { name: 'acme' })
})
afterAll(async () => {
  for (const stop of stops) await stop()
  await database.drop()
})

/** A directory with a pool of its own, as another process has it; no time limit expires anything here. */
async function startDirectory(adminKey: string | null = null): Promise<{ directory: Directory; pool: Sql }> {
  const pool = connect({ url: database.url, max: 2 })
  const directory = createDirectory(pool, { adminKey, logger: silentLogger, ttlMs: 3_600_000 })
  await directory.start()
  stops.push(async () => {
    await directory.stop()
    await pool.end({ timeout: 1 })
  })
  return { directory, pool }
}

/** For conditions that must come true within a second. */
const within1s = { timeout: 1_000, interval: 10 }

describe('directory', () => {
  test('tells the admin key, project keys and anything else apart', async () => {
    const { directory } = await startDirectory('operator-key')
    const { key, id } = await createApiKey(sql, project.id, { label: 'k', scopes: ['write', 'read'] })
    expect(await directory.authenticate('operator-key')).toEqual({ kind: 'admin' })
    expect(await directory.authenticate(key)).toEqual({
      kind: 'project',
      projectId: project.id,
      keyId: id,
      scopes: new Set(['write', 'read']),
    })
    for (const wrong of ['', 'operator-ke', 'wb_', `${key}x`, key.toUpperCase(), `wb_${'A'.repeat(43)}`])
      expect(await directory.authenticate(wrong)).toBeNull()
  })

  test('without an admin key nobody is admin', async () => {
    const { directory } = await startDirectory(null)
    expect(await directory.authenticate('')).toBeNull()
    expect(await directory.authenticate('null')).toBeNull()
  })

  test('a key works at once in every process, also where it was refused a moment before', async () => {
    const [one, two] = [await startDirectory(), await startDirectory()]
    const { key } = await createApiKey(sql, project.id, { label: 'new', scopes: ['read'] })
    for (const { directory } of [one, two])
      expect(await directory.authenticate(key)).toMatchObject({ kind: 'project' })
  })

  test('finds projects and integrations by id and by name, and nothing of another project', async () => {
    const { directory } = await startDirectory()
    const other = await createProject(sql, { name: 'other' })
    const made = await createIntegration(sql, project.id, { name: 'sync', provider: 'salesforce' })
    expect(await directory.project('acme')).toEqual({ id: project.id, name: 'acme' })
    expect(await directory.project(project.id.toUpperCase())).toMatchObject({ name: 'acme' })
    expect(await directory.project('nope')).toBeNull()
    expect(await directory.project('with \0 in it')).toBeNull()
    for (const name of ['sync', made.id])
      expect(await directory.integration(project.id, name)).toMatchObject({
        id: made.id,
        provider: 'salesforce',
      })
    for (const name of ['sync', made.id]) expect(await directory.integration(other.id, name)).toBeNull()
  })

  test('a change is seen within a second by processes that held the old state', async () => {
    const [one, two] = [await startDirectory(), await startDirectory()]
    const changed = await createProject(sql, { name: 'before' })
    for (const { directory } of [one, two]) expect(await directory.project(changed.id)).not.toBeNull()
    await sql.begin(async (tx) => {
      await tx`update project set name = 'after' where id = ${changed.id}`
      await tx`select pg_notify('writeback_setup', ${`project ${changed.id}`})`
    })
    for (const { directory } of [one, two])
      await expect.poll(async () => (await directory.project(changed.id))?.name, within1s).toBe('after')
  })

  test('what changed while nobody listened is seen once the listening connection is back', async () => {
    const { directory } = await startDirectory()
    // made and changed without an announcement, which could come late and hide what is tested
    const id = newId()
    await sql`insert into project (id, name) values (${id}, 'unheard')`
    expect(await directory.project(id)).not.toBeNull()
    await sql`update project set name = 'heard' where id = ${id}`
    const ended = await sql`
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and query like 'listen%' and pid <> pg_backend_pid()`
    expect(ended.length).toBeGreaterThan(0)
    await expect
      .poll(async () => (await directory.project(id))?.name, { timeout: 5_000, interval: 20 })
      .toBe('heard')
  })

  test('answers from memory: no statement for what is held', async () => {
    const { directory, pool } = await startDirectory()
    const { key } = await createApiKey(sql, project.id, { label: 'hot', scopes: ['write'] })
    // the announcement of the key's making expires what was loaded before it came
    const isHeld = async () => (await directory.authenticate(key)) === (await directory.authenticate(key))
    await expect.poll(isHeld, within1s).toBe(true)
    await pool.end({ timeout: 1 })
    expect(await directory.authenticate(key)).toMatchObject({ kind: 'project' })
    await expect(directory.project('not held')).rejects.toThrow('CONNECTION_ENDED')
  })
})
