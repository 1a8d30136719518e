/** A fixed wait, or one drawn evenly from a range; milliseconds. */
export type Latency = number | { min: number; max: number }

/** What can be changed while the simulator runs. */
export interface Settings {
  /** Wait before each request is executed. Default 0. */
  latencyMs: Latency
  /** Calls in the rolling day; only counted up here, never forgotten (facts 6). Default 5,000,000. */
  dailyApiLimit: number
  /** Access-token life in seconds, sliding with use (facts 1.1). Default 7200. */
  sessionSeconds: number
  /** Refresh Token Rotation for all apps (facts 1.2). Default false. */
  rotateRefreshTokens: boolean
  /** Whether one value of the wrong JSON type refuses its whole request instead of its record (facts 7). Default false. */
  badValueSinksRequest: boolean
  /**
   * Whether a write holds locks on its records and their parents while it is in flight, so that other
   * writes of the same rows fail with `UNABLE_TO_LOCK_ROW` (facts 8). Default false.
   */
  lockParents: boolean
  /** How long a write waits for rows that are locked; milliseconds, default 0. The platform's wait is about 10 s. */
  lockWaitMs: number
  /** Whether one record that cannot be locked fails its whole collections call (facts 3). Default false. */
  lockFailsBatch: boolean
  /** Whether of two upserts in flight with one new unique key the later one fails instead of updating (facts 3.2). Default false. */
  upsertRace: boolean
  /** Whether the org lets its caller use `/composite`: `forbidden` answers 403, `absent` 404. Default `allowed`. */
  compositeAccess: 'allowed' | 'forbidden' | 'absent'
  /** Wait for each subrequest of a composite call, besides `latencyMs`; milliseconds. Default 0. */
  compositePartMs: number
  /** Rows of a query's page. Default 2000. */
  queryPageSize: number
  /** Whether Sforce-* headers of a composite call hold for its subrequests; not documented (facts 4.1), so default false. */
  compositeHeadersCascade: boolean
  /** How single-record answers spell the key of a duplicate rule's findings (facts 7.2). Default `byVersion`. */
  duplicateResultKey: 'byVersion' | 'duplicateResut' | 'duplicateResult'
  /** Objects that no record can be added to: `STORAGE_LIMIT_EXCEEDED`. Default none. */
  storageFullFor: readonly string[]
  /** Whether upserts by a non-unique external id are allowed, as with View All Data (facts 3.2). Default true. */
  viewAllData: boolean
  /** Callback URLs of the apps; without any, every http and https URL. Default none. */
  redirectUris: readonly string[]
  /** Whether a code is given only to who brings a code challenge, S256 (facts 1.2). Default true. */
  requirePkce: boolean
  /** The password of every user on the login page. Default `demo-password`. */
  loginPassword: string
  /** Whether the org has the licence for engagement interactions: `forbidden` answers 403, `absent` 404. Default `allowed`. */
  engagementAccess: 'allowed' | 'forbidden' | 'absent'
  /** Status of the answer to a new interaction; not documented (facts 11), so 200 or 201. Default 201. */
  engagementStatus: number
  /** `status.code` in that answer; not documented (facts 11). Default 201. */
  engagementStatusCode: 0 | 200 | 201 | 'absent'
  /** How a refused interaction is answered: as an error, or as a success whose `status.code` fails (facts 11). Default `http`. */
  engagementErrors: 'http' | 'inStatus'
  /** What an `externalIdentifierId` that is there already comes to; not documented (facts 11). Default `second`: another record. */
  engagementRepeat: 'second' | 'badRequest' | 'conflict'
}

/** The settings of a fresh simulator. */
export const defaultSettings: Settings = {
  latencyMs: 0,
  dailyApiLimit: 5_000_000,
  sessionSeconds: 7200,
  rotateRefreshTokens: false,
  badValueSinksRequest: false,
  lockParents: false,
  lockWaitMs: 0,
  lockFailsBatch: false,
  upsertRace: false,
  compositeAccess: 'allowed',
  compositePartMs: 0,
  queryPageSize: 2000,
  compositeHeadersCascade: false,
  duplicateResultKey: 'byVersion',
  storageFullFor: [],
  viewAllData: true,
  redirectUris: [],
  requirePkce: true,
  loginPassword: 'demo-password',
  engagementAccess: 'allowed',
  engagementStatus: 201,
  engagementStatusCode: 201,
  engagementErrors: 'http',
  engagementRepeat: 'second',
}

/** Settings that are one of a few words. */
const choices: Readonly<Record<string, readonly unknown[]>> = {
  compositeAccess: ['allowed', 'forbidden', 'absent'],
  duplicateResultKey: ['byVersion', 'duplicateResut', 'duplicateResult'],
  engagementAccess: ['allowed', 'forbidden', 'absent'],
  engagementStatus: [200, 201],
  engagementStatusCode: [0, 200, 201, 'absent'],
  engagementErrors: ['http', 'inStatus'],
  engagementRepeat: ['second', 'badRequest', 'conflict'],
}

/**
 * Reads settings from JSON.
 * @throws {TypeError} naming the first setting that is unknown or of the wrong type
 */
export function readSettings(input: Record<string, unknown>): Partial<Settings> {
  for (const [name, value] of Object.entries(input)) {
    if (!fits(name, value)) throw new TypeError(`setting ${name}: unknown or of the wrong type`)
  }
  return input
}

function fits(name: string, value: unknown): boolean {
  if (choices[name]) return choices[name].includes(value)
  if (name === 'storageFullFor' || name === 'redirectUris')
    return Array.isArray(value) && value.every((item) => typeof item === 'string')
  if (name === 'latencyMs' && typeof value === 'object') {
    const range = value as { min?: unknown; max?: unknown } | null
    return typeof range?.min === 'number' && typeof range.max === 'number'
  }
  return typeof value === typeof (defaultSettings as unknown as Record<string, unknown>)[name]
}
