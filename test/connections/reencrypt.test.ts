import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createCipher, keyIdOf, keysById } from '../../src/connections/cipher.ts'
import { createConnection, credentialsPurpose, sessionPurpose } from '../../src/connections/connections.ts'
import { findMissingKeys, reencryptConnections, reportMissingKeys } from '../../src/connections/reencrypt.ts'
import { claimRefresh, keepSession } from '../../src/connections/session-store.ts'
import { newId } from '../../src/kernel/ids.ts'
import { silentLogger, type Logger } from '../../src/kernel/log.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const oldKey = randomBytes(32)
const newKey = randomBytes(32)
const oldCipher = createCipher({ keys: keysById(oldKey), current: keyIdOf(oldKey) })
const newCipher = createCipher({ keys: keysById(newKey), current: keyIdOf(newKey) })
const bothKeys = createCipher({ keys: keysById(oldKey, newKey), current: keyIdOf(newKey) })

let database: TestDatabase
let projectId: string
const sql = () => database.sql

beforeEach(async () => {
  database = await createTestDatabase()
  projectId = newId()
  await sql()`insert into project (id, name) values (${projectId}, 'p')`
})
afterEach(() => database.drop())

const credentials = (n: number) => ({
  type: 'oauth2-refresh-token' as const,
  clientId: 'client',
  refreshToken: `refresh-${n}`,
})

/** Connections under the old key, each with a session. */
async function connections(count: number): Promise<string[]> {
  const ids: string[] = []
  for (let n = 0; n < count; n++) {
    const input = { groupRef: `g${n}`, provider: 'salesforce', credentials: credentials(n) }
    const { id } = await createConnection(sql(), oldCipher, projectId, input)
    await sql()`update connection set session = ${oldCipher.encrypt(`session-${n}`, sessionPurpose(id))} where id = ${id}`
    ids.push(id)
  }
  return ids
}

const stored = async (id: string): Promise<{ credentials: Buffer; session: Buffer }> => {
  const [row] = await sql()<
    [{ credentials: Buffer; session: Buffer }]
  >`select credentials, session from connection where id = ${id}`
  return row
}

const reencrypt = (cipher = bothKeys) => reencryptConnections(sql(), cipher, keyIdOf(newKey), silentLogger)

describe('re-encryption', () => {
  test('moves everything to the current key: the old one can be left out, and a second run finds nothing', async () => {
    const ids = await connections(3)

    expect(await reencrypt()).toEqual({ credentials: 3, sessions: 3, unreadable: 0 })

    for (const [n, id] of ids.entries()) {
      const row = await stored(id)
      expect(JSON.parse(newCipher.decrypt(row.credentials, credentialsPurpose(id)))).toEqual(credentials(n))
      expect(newCipher.decrypt(row.session, sessionPurpose(id))).toBe(`session-${n}`)
    }
    expect(await findMissingKeys(sql(), [keyIdOf(newKey)])).toEqual([])
    expect(await reencrypt()).toEqual({ credentials: 0, sessions: 0, unreadable: 0 })
  })

  test('goes on past one transaction of connections', async () => {
    const [id] = await connections(1)
    await sql()`
      insert into connection (id, project_id, group_ref, provider, credential_type, credentials)
      select gen_random_uuid(), project_id, group_ref || n, provider, credential_type, ${Buffer.alloc(40, 1)}
      from connection, generate_series(1, 250) as n where id = ${id!}`
    expect(await reencrypt()).toEqual({ credentials: 1, sessions: 1, unreadable: 250 })
  })

  test('keeps what a refresh wrote between its reading and its writing', async () => {
    const [id] = await connections(1)
    const answer = await claimRefresh(sql(), id!, 1, { leaseSeconds: 30, mayTake: true })
    if (answer.kind !== 'mint') throw new Error(answer.kind)
    // a process with the old key keeps its rotated token while the re-encryption is at this very row
    let raced = false
    const racing = {
      ...bothKeys,
      decrypt: (data: Uint8Array, purpose: string) => bothKeys.decrypt(data, purpose),
      encrypt: (text: string, purpose: string) => bothKeys.encrypt(text, purpose),
    }
    const watched = new Proxy(sql(), {
      get: (target, name): unknown => {
        if (name !== 'begin' || raced) return Reflect.get(target, name)
        return async (run: never) => {
          raced = true
          const kept = await keepSession(target, id!, answer.claim, {
            session: oldCipher.encrypt('newer-session', sessionPurpose(id!)),
            rotatedCredentials: oldCipher.encrypt(JSON.stringify(credentials(77)), credentialsPurpose(id!)),
          })
          expect(kept).toBe(true)
          return target.begin(run)
        }
      },
    })

    const done = await reencryptConnections(watched, racing, keyIdOf(newKey), silentLogger)

    expect(done).toEqual({ credentials: 1, sessions: 1, unreadable: 0 })
    const row = await stored(id!)
    expect(JSON.parse(newCipher.decrypt(row.credentials, credentialsPurpose(id!)))).toEqual(credentials(77))
    expect(newCipher.decrypt(row.session, sessionPurpose(id!))).toBe('newer-session')
  })

  test('leaves alone what no key opens, and says so', async () => {
    const [id] = await connections(1)
    const before = await stored(id!)
    expect(await reencrypt(newCipher)).toEqual({ credentials: 0, sessions: 0, unreadable: 2 })
    expect(await stored(id!)).toEqual(before)
  })
})

test('a start without a key that is needed says in one line which, and never a key', async () => {
  await connections(2)
  const lines: unknown[][] = []
  const log = (...args: unknown[]): void => void lines.push(args)
  const logger: Logger = { ...silentLogger, error: log }

  await reportMissingKeys(sql(), [keyIdOf(newKey)], logger)
  expect(lines).toHaveLength(1)
  expect(lines[0]?.[0]).toEqual({ missing: [keyIdOf(oldKey)], configured: [keyIdOf(newKey)] })
  expect(lines[0]?.[1]).toContain(keyIdOf(oldKey))

  lines.length = 0
  await reportMissingKeys(sql(), [keyIdOf(newKey), keyIdOf(oldKey)], logger)
  expect(lines).toEqual([])
})
