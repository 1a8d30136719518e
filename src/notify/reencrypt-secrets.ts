import type { Sql } from '../db/connect.ts'
import { messageOf } from '../kernel/errors.ts'
import type { Logger } from '../kernel/log.ts'
import { secretPurpose, type SecretCipher } from './secrets.ts'

/** Destinations of one statement. */
const CHUNK = 100

/** What a re-encryption of signing secrets did. */
export interface ReencryptedSecrets {
  /** Destinations whose secrets are under the current key now and were not before. */
  secrets: number
  /** Destinations with a secret that no configured key opens; they were left as they are. */
  unreadable: number
}

interface StoredRow {
  id: string
  secret: Buffer
  oldSecret: Buffer | null
}

/**
 * Encrypts every signing secret that is under another key with the cipher's current one. Each is replaced only
 * if it is still what was read. May be run again at any time, and while the service runs.
 *
 * @param currentKeyId id of the key that the cipher encrypts with: it stands in a ciphertext's second to fifth byte
 */
export async function reencryptSecrets(
  sql: Sql,
  cipher: SecretCipher,
  currentKeyId: string,
  logger: Logger,
): Promise<ReencryptedSecrets> {
  const current = Buffer.from(currentKeyId, 'hex')
  const done: ReencryptedSecrets = { secrets: 0, unreadable: 0 }
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    const rows = await sql<StoredRow[]>`
      select id, secret, old_secret as "oldSecret" from destination
      where id > ${after} and (substring(secret from 2 for 4) <> ${current}
        or substring(old_secret from 2 for 4) <> ${current})
      order by id limit ${CHUNK}`
    const last = rows.at(-1)
    if (last === undefined) return done
    for (const row of rows) {
      const renewed = renew(row, cipher, logger)
      if (renewed === null) done.unreadable += 1
      else if (await replace(sql, row, renewed)) done.secrets += 1
    }
    after = last.id
  }
}

function renew({ id, secret, oldSecret }: StoredRow, cipher: SecretCipher, logger: Logger) {
  const purpose = secretPurpose(id)
  const again = (data: Buffer): Buffer => cipher.encrypt(cipher.decrypt(data, purpose), purpose)
  try {
    return { secret: again(secret), oldSecret: oldSecret === null ? null : again(oldSecret) }
  } catch (error) {
    logger.error({ destinationId: id, reason: messageOf(error) }, 'a signing secret cannot be read')
    return null
  }
}

async function replace(
  sql: Sql,
  row: StoredRow,
  { secret, oldSecret }: Omit<StoredRow, 'id'>,
): Promise<boolean> {
  const replaced = await sql`
    update destination set secret = ${secret}, old_secret = ${oldSecret}
    where id = ${row.id} and secret = ${row.secret} and old_secret is not distinct from ${row.oldSecret}`
  return replaced.count > 0
}

/** Ids of keys that a signing secret was encrypted with and that are not among these. */
export async function findMissingSecretKeys(sql: Sql, knownKeyIds: string[]): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select distinct encode(substring(data from 2 for 4), 'hex') as id
    from destination cross join lateral (values (secret), (old_secret)) as stored (data)
    where data is not null order by id`
  return rows.map((row) => row.id).filter((id) => !knownKeyIds.includes(id))
}
