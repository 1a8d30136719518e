import type { Sql, Tx } from '../db/connect.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import { CipherError, type Cipher } from './cipher.ts'
import { credentialsPurpose, sessionPurpose } from './connections.ts'

/** Connections of one transaction. */
const CHUNK = 100
/** How often everything is gone through: refreshes by a process with an old key may bring new work. */
const MAX_PASSES = 5

/** What a re-encryption did. */
export interface Reencrypted {
  /** Ciphertexts that are under the current key now and were not before. */
  credentials: number
  sessions: number
  /** Those that no configured key opens; they were left as they are. */
  unreadable: number
}

interface StoredRow {
  id: string
  credentials: Buffer
  session: Buffer | null
}

/** Which key a ciphertext names stands in its second to fifth byte. */
const keyIdBytes = (keyId: string): Buffer => Buffer.from(keyId, 'hex')

/**
 * Encrypts every credential and session that is under another key with the cipher's current one. Each is
 * replaced only if it is still what was read, so that a refresh that runs meanwhile keeps what it wrote.
 * May be run again at any time, and while the service runs.
 *
 * @param currentKeyId id of the key that the cipher encrypts with
 */
export async function reencryptConnections(
  sql: Sql,
  cipher: Cipher,
  currentKeyId: string,
  logger: Logger,
): Promise<Reencrypted> {
  const total: Reencrypted = { credentials: 0, sessions: 0, unreadable: 0 }
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const done = await onePass(sql, cipher, currentKeyId, logger)
    total.credentials += done.credentials
    total.sessions += done.sessions
    total.unreadable = done.unreadable
    if (done.credentials + done.sessions + done.missed === 0) break
  }
  return total
}

interface Pass extends Reencrypted {
  /** Those that somebody else replaced meanwhile. */
  missed: number
}

async function onePass(sql: Sql, cipher: Cipher, currentKeyId: string, logger: Logger): Promise<Pass> {
  const pass: Pass = { credentials: 0, sessions: 0, unreadable: 0, missed: 0 }
  const current = keyIdBytes(currentKeyId)
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    const rows = await sql<StoredRow[]>`
      select id, credentials, session from connection
      where id > ${after} and (substring(credentials from 2 for 4) <> ${current}
        or substring(session from 2 for 4) <> ${current})
      order by id limit ${CHUNK}`
    const last = rows.at(-1)
    if (last === undefined) return pass
    await sql.begin(async (tx) => {
      for (const row of rows) await reencryptRow(tx, row, { cipher, current, logger, pass })
    })
    after = last.id
  }
}

interface RowContext {
  cipher: Cipher
  current: Buffer
  logger: Logger
  pass: Pass
}

async function reencryptRow(tx: Tx, { id, credentials, session }: StoredRow, context: RowContext) {
  const { pass } = context
  const newCredentials = renewed(id, credentials, credentialsPurpose(id), context)
  if (newCredentials !== null) {
    const replaced = await tx`
      update connection set credentials = ${newCredentials} where id = ${id} and credentials = ${credentials}`
    if (replaced.count > 0) pass.credentials += 1
    else pass.missed += 1
  }
  if (session === null) return
  const newSession = renewed(id, session, sessionPurpose(id), context)
  if (newSession === null) return
  const replaced =
    await tx`update connection set session = ${newSession} where id = ${id} and session = ${session}`
  if (replaced.count > 0) pass.sessions += 1
  else pass.missed += 1
}

/** The same text under the current key; null when it is already, or cannot be read. */
function renewed(id: string, data: Buffer, purpose: string, context: RowContext): Buffer | null {
  if (context.current.equals(data.subarray(1, 5))) return null
  try {
    return context.cipher.encrypt(context.cipher.decrypt(data, purpose), purpose)
  } catch (error) {
    if (!(error instanceof CipherError)) throw error
    context.pass.unreadable += 1
    context.logger.error({ connectionId: id, reason: messageOf(error) }, 'stored credentials cannot be read')
    return null
  }
}

/** Ids of keys that something stored was encrypted with and that are not among these. */
export async function findMissingKeys(sql: Sql, knownKeyIds: string[]): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select distinct encode(substring(data from 2 for 4), 'hex') as id
    from connection cross join lateral (values (credentials), (session)) as stored (data)
    where data is not null order by id`
  return rows.map((row) => row.id).filter((id) => !knownKeyIds.includes(id))
}

/** Says in one line of the log when something stored cannot be read with these keys. */
export async function reportMissingKeys(sql: Sql, knownKeyIds: string[], logger: Logger): Promise<void> {
  const missing = await findMissingKeys(sql, knownKeyIds)
  if (missing.length === 0) return
  logger.error(
    { missing, configured: knownKeyIds },
    `stored credentials are encrypted with keys that are not configured (ids ${missing.join(', ')}): set WRITEBACK_ENCRYPTION_KEY or WRITEBACK_OLD_ENCRYPTION_KEYS to them, or give the connections new credentials`,
  )
}
