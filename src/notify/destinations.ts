import type { Sql } from '../db/connect.ts'
import { isForeignKeyViolation, isUniqueViolation } from '../db/pg-errors.ts'
import { WritebackError } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import type { ListPage } from '../model/following.ts'
import { NOTIFICATION_CHANNEL } from '../model/notification.ts'
import { newSecret, secretPurpose, type SecretCipher } from './secrets.ts'

/** Destinations of one project: every event is kept once for each. */
export const MAX_DESTINATIONS = 20
/** Hours in which the secret before the present one signs too. */
export const OLD_SECRET_HOURS = 24

/** Several events in one call. */
export interface Digest {
  /** The most events of one call. */
  maxRecords: number
  /** The longest that an event waits for others. */
  maxDelaySeconds: number
}

/** Why a destination is switched off. */
export type DisabledReason = 'by_hand' | 'failing' | 'receiver_gone'

/** A destination as it is shown: without its secret. */
export interface DestinationRow {
  id: string
  name: string
  type: 'webhook'
  url: string
  /** Null: one event a call. */
  digest: Digest | null
  enabled: boolean
  disabledReason: DisabledReason | null
  disabledAt: Date | null
  createdAt: Date
}

/** What a destination is made from. */
export interface NewDestination {
  name: string
  url: string
  digest: Digest | null
}

/** What may be changed; what is not given stays. */
export interface DestinationChange extends Partial<NewDestination> {
  enabled?: boolean
}

const columns = (sql: Sql) => sql`
  id, name, type, url, enabled, disabled_reason as "disabledReason", disabled_at as "disabledAt", created_at as "createdAt",
  case when digest_records is not null
    then json_build_object('maxRecords', digest_records, 'maxDelaySeconds', digest_seconds) end as digest`

const nameTaken = (name: string): WritebackError =>
  new WritebackError('CONFLICT', `The project has a destination ${JSON.stringify(name)} already.`, {
    remedy: 'Choose another name.',
  })

const tooMany = (): WritebackError =>
  new WritebackError('CONFLICT', `The project has ${MAX_DESTINATIONS} destinations, which is the most.`, {
    remedy: 'Delete one that is not needed any more.',
  })

/** Gives what the database refuses for its own reasons ours. */
const inOurWords = (name: string | undefined) => (error: unknown) => {
  if (isUniqueViolation(error)) throw nameTaken(name ?? '')
  if (!isForeignKeyViolation(error)) throw error
  throw new WritebackError('NOT_FOUND', 'The project has been deleted.', { remedy: 'Check the path.' })
}

/**
 * Makes a destination; it is told of what ends from now on.
 *
 * @returns it, with the secret that signs what is sent to it: shown this once
 * @throws {WritebackError} CONFLICT when the name is taken or the project has too many
 */
export async function createDestination(
  sql: Sql,
  cipher: SecretCipher,
  projectId: string,
  input: NewDestination,
): Promise<DestinationRow & { secret: string }> {
  const id = newId()
  const secret = newSecret()
  const encrypted = cipher.encrypt(secret, secretPurpose(id))
  const { name, url, digest } = input
  const [row] = await sql<DestinationRow[]>`
    insert into destination (id, project_id, name, type, url, secret, digest_records, digest_seconds)
    select ${id}, ${projectId}, ${name}, 'webhook', ${url}, ${encrypted}, ${digest?.maxRecords ?? null}::smallint,
      ${digest?.maxDelaySeconds ?? null}::integer
    where (select count(*) from destination where project_id = ${projectId}) < ${MAX_DESTINATIONS}
    returning ${columns(sql)}`.catch(inOurWords(name))
  if (row === undefined) throw tooMany()
  return { ...row, secret }
}

/** A destination of a project; null when the project has none of that id. */
export async function getDestination(
  sql: Sql,
  projectId: string,
  id: string,
): Promise<DestinationRow | null> {
  const [row] = await sql<DestinationRow[]>`
    select ${columns(sql)} from destination where project_id = ${projectId} and id = ${id}`
  return row ?? null
}

/** At most `size` destinations of a project, newest first. */
export const listDestinations = (
  sql: Sql,
  projectId: string,
  { size, after }: ListPage,
): Promise<DestinationRow[]> => sql<DestinationRow[]>`
  select ${columns(sql)} from destination
  where project_id = ${projectId} and (${after}::uuid is null or id < ${after}::uuid)
  order by id desc limit ${size}`

/**
 * Changes a destination. Switched off, it is told of nothing that ends meanwhile, and what waits for it waits
 * on; switched on, it starts with a clean sheet. Without a digest any more, what waited for company leaves.
 *
 * @returns null when the project has no such destination
 * @throws {WritebackError} CONFLICT when the name is taken
 */
export async function updateDestination(
  sql: Sql,
  projectId: string,
  id: string,
  change: DestinationChange,
): Promise<DestinationRow | null> {
  const { name, url, digest, enabled } = change
  const isSwitched = enabled !== undefined
  const update = sql.begin(async (tx) => {
    const [row] = await tx<DestinationRow[]>`
      update destination set
        name = coalesce(${name ?? null}, name),
        url = coalesce(${url ?? null}, url),
        digest_records = case when ${digest !== undefined} then ${digest?.maxRecords ?? null}::smallint else digest_records end,
        digest_seconds = case when ${digest !== undefined} then ${digest?.maxDelaySeconds ?? null}::integer else digest_seconds end,
        enabled = coalesce(${enabled ?? null}, enabled),
        disabled_reason = case when not ${isSwitched} then disabled_reason when not ${enabled ?? true} then coalesce(disabled_reason, 'by_hand') end,
        disabled_at = case when not ${isSwitched} then disabled_at when not ${enabled ?? true} then coalesce(disabled_at, now()) end,
        failing_since = case when ${isSwitched} then null else failing_since end
      where project_id = ${projectId} and id = ${id}
      returning ${columns(sql)}`
    if (row === undefined) return null
    if (digest === null)
      await tx`update notification set due_at = now() where destination_id = ${id} and state = 'new' and due_at > now()`
    await tx`select pg_notify(${NOTIFICATION_CHANNEL}, ${id})`
    return row
  })
  return update.catch(inOurWords(name))
}

/**
 * Deletes a destination; what waits for it is not sent any more. An attempt under way may still arrive.
 *
 * @returns what it was; null when the project has no such destination
 */
export async function deleteDestination(
  sql: Sql,
  projectId: string,
  id: string,
): Promise<DestinationRow | null> {
  const [row] = await sql<DestinationRow[]>`
    delete from destination where project_id = ${projectId} and id = ${id} returning ${columns(sql)}`
  return row ?? null
}

/**
 * Gives a destination a new secret. The one before signs too for {@link OLD_SECRET_HOURS}, so that a receiver
 * can change over without refusing anything; one that was before that is over at once.
 *
 * @returns null when the project has no such destination
 */
export async function rotateSecret(
  sql: Sql,
  cipher: SecretCipher,
  projectId: string,
  id: string,
): Promise<(DestinationRow & { secret: string; oldSecretUntil: Date }) | null> {
  const secret = newSecret()
  const encrypted = cipher.encrypt(secret, secretPurpose(id.toLowerCase()))
  const [row] = await sql<(DestinationRow & { oldSecretUntil: Date })[]>`
    update destination set secret = ${encrypted}, old_secret = secret,
      old_secret_until = now() + make_interval(hours => ${OLD_SECRET_HOURS})
    where project_id = ${projectId} and id = ${id}
    returning ${columns(sql)}, old_secret_until as "oldSecretUntil"`
  return row === undefined ? null : { ...row, secret }
}

/** What a message to a destination is sent and signed with. */
export interface DestinationTarget {
  id: string
  name: string
  url: string
  secret: Buffer
  /** The secret before it, while that signs too. */
  oldSecret: Buffer | null
}

/** Where a destination of a project is; null when the project has none of that id. */
export async function findTarget(sql: Sql, projectId: string, id: string): Promise<DestinationTarget | null> {
  const [row] = await sql<DestinationTarget[]>`
    select id, name, url, secret, case when old_secret_until > now() then old_secret end as "oldSecret"
    from destination where project_id = ${projectId} and id = ${id}`
  return row ?? null
}
