import jsforce from 'jsforce'
import type { Write } from './front.ts'

/** jsforce's own connection, logged in. */
export type Connection = InstanceType<typeof jsforce.Connection>

/** The same version as the service's. */
export const API_VERSION = '67.0'

/** What came of one record. */
export type Outcome =
  { kind: 'succeeded'; recordId: string | null } | { kind: 'failed' | 'retry'; error: string }

/** Errors that another try may not meet again. */
const passing = new Set(['UNABLE_TO_LOCK_ROW', 'REQUEST_LIMIT_EXCEEDED', 'SERVER_UNAVAILABLE'])

/** Logs in by client credentials, and again when the session has ended. */
export async function connect(loginUrl: string): Promise<Connection> {
  const grant = { grant_type: 'client_credentials' }
  const connection: Connection = new jsforce.Connection({
    version: API_VERSION,
    oauth2: { loginUrl, clientId: 'writeback-demo', clientSecret: 'demo-secret' },
    refreshFn: (expired, callback) => {
      expired.authorize(grant).then(
        () => {
          callback(null, expired.accessToken ?? undefined)
        },
        (error: unknown) => {
          callback(error as Error)
        },
      )
    },
  })
  await connection.authorize(grant)
  return connection
}

/** What one result of jsforce, of any verb, says. */
interface Result {
  success: boolean
  id?: string | undefined
  errors: { statusCode?: string; errorCode?: string; message: string }[]
}

/** What came of one record, by its own result. */
function outcomeOf({ success, id, errors }: Result): Outcome {
  if (success) return { kind: 'succeeded', recordId: id ?? null }
  const codes = errors.map((error) => error.statusCode ?? error.errorCode ?? 'UNKNOWN')
  const error = errors.map(({ message }, index) => `${codes[index] ?? ''}: ${message}`).join('; ')
  return { kind: codes.every((code) => passing.has(code)) ? 'retry' : 'failed', error }
}

/** jsforce wants an update's id under this name. */
const withId = ({ id, ...record }: Write['record']) => ({ ...record, Id: String(record['Id'] ?? id) })

/** Sends records of one object and type as one sObject collection. */
function save(connection: Connection, first: Write, records: Write['record'][]): Promise<Result[]> {
  const object = connection.sobject(first.object)
  const options = { allOrNone: false }
  switch (first.type) {
    case 'create':
      return object.create(records, options)
    case 'update':
      return object.update(records.map(withId), options)
    case 'upsert':
      return object.upsert(records, first.externalIdField ?? 'Id', options)
    case 'delete':
      return object.destroy(
        records.map((record) => withId(record).Id),
        options,
      )
  }
}

/**
 * Writes up to 200 records of one object, type and external-id field in one call.
 *
 * @returns an outcome for each, in order; when the call as a whole failed, each is to be tried again
 */
export async function sendGroup(connection: Connection, writes: readonly Write[]): Promise<Outcome[]> {
  const [first] = writes
  if (first === undefined) return []
  try {
    const results = await save(
      connection,
      first,
      writes.map(({ record }) => record),
    )
    return results.map(outcomeOf)
  } catch (error) {
    return writes.map(() => ({ kind: 'retry', error: String(error) }))
  }
}

/** Writes that have the same of it can share a call. */
export const groupKey = ({ object, type, externalIdField }: Write): string =>
  `${object} ${type} ${externalIdField ?? ''}`
