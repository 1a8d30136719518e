/**
 * Every environment variable of the service, in one table: what parses them, what names them in an
 * error, and the reference's table (contract section 1).
 */

/** One variable. */
interface Variable<T> {
  name: string
  /** As the reference shows it. */
  shownDefault: string
  /** Whether its value must never be shown. */
  secret: boolean
  /** A sentence for the reference. */
  meaning: string
  /** The value when the variable is unset. */
  fallback: T
  /** What a value has to be; follows "must be" in an error. */
  expected: string
  /** The value of a text, or undefined when it is none. */
  parse: (text: string) => T | undefined
}

const wholeNumber = (
  name: string,
  fallback: number,
  [min, max]: [min: number, max: number],
  meaning: string,
): Variable<number> => ({
  name,
  shownDefault: String(fallback),
  secret: false,
  meaning,
  fallback,
  expected: `a whole number from ${min} to ${max}`,
  parse: (text) => {
    const value = Number(text)
    return /^\d{1,15}$/.test(text) && value >= min && value <= max ? value : undefined
  },
})

/** Seconds in the environment, milliseconds in the program. */
const seconds = (
  name: string,
  fallback: number,
  [min, max]: [min: number, max: number],
  meaning: string,
): Variable<number> => ({
  name,
  shownDefault: String(fallback),
  secret: false,
  meaning,
  fallback: fallback * 1000,
  expected: `a number of seconds from ${min} to ${max}`,
  parse: (text) => {
    const value = Number(text)
    return /^\d{1,9}(\.\d{1,3})?$/.test(text) && value >= min && value <= max ? value * 1000 : undefined
  },
})

const oneOf = <T extends string>(
  name: string,
  fallback: T,
  values: readonly T[],
  meaning: string,
): Variable<T> => ({
  name,
  shownDefault: `\`${fallback}\``,
  secret: false,
  meaning,
  fallback,
  expected: `one of ${values.join(', ')}`,
  parse: (text) => values.find((value) => value === text),
})

const parseDatabaseUrl = (text: string): string | undefined =>
  URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol) ? text : undefined

function parsePublicUrl(text: string): string | undefined {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol) || /[?#]/.test(text)) return undefined
  return url.username === '' && url.password === '' ? url.href.replace(/\/+$/, '') : undefined
}

function parseEncryptionKey(text: string): Buffer | undefined {
  if (!/^[A-Za-z0-9+/_-]+=*$/.test(text)) return undefined
  const key = Buffer.from(text, 'base64')
  return key.length === 32 ? key : undefined
}

function parseEncryptionKeys(text: string): Buffer[] | undefined {
  const keys = text.split(',').map((key) => parseEncryptionKey(key.trim()))
  return keys.includes(undefined) ? undefined : (keys as Buffer[])
}

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
const roles = ['all', 'api', 'worker'] as const

const variables = {
  port: wholeNumber('PORT', 8080, [0, 65_535], 'The port where the API listens; 0 for any free one.'),
  host: {
    name: 'HOST',
    shownDefault: '127.0.0.1',
    secret: false,
    meaning: 'The address where the API listens.',
    fallback: '127.0.0.1',
    expected: 'a host name or an address',
    parse: (text) => (/^[A-Za-z0-9.:_-]+$/.test(text) ? text : undefined),
  } satisfies Variable<string>,
  publicUrl: {
    name: 'WRITEBACK_PUBLIC_URL',
    shownDefault: '`http://HOST:PORT`',
    secret: false,
    meaning:
      'Where browsers reach the service: the base of the links by which customers connect their orgs, and of the callback URL that their app must have (`/connect/callback` under it). The same for all processes.',
    fallback: null as string | null,
    expected: 'an http or https URL without a query',
    parse: parsePublicUrl,
  } satisfies Variable<string | null>,
  databaseUrl: {
    name: 'DATABASE_URL',
    shownDefault: 'unset',
    secret: true,
    meaning:
      'PostgreSQL 16 or newer (`postgres://user:password@host:port/database`). Unset: an embedded PostgreSQL in the data folder.',
    fallback: null as string | null,
    expected: 'a URL that begins with postgres:// or postgresql://',
    parse: parseDatabaseUrl,
  } satisfies Variable<string | null>,
  dataDir: {
    name: 'WRITEBACK_DATA_DIR',
    shownDefault: '`.writeback`',
    secret: false,
    meaning: 'The folder of the embedded database and of generated keys (mode 0600).',
    fallback: '.writeback',
    expected: 'a path',
    parse: (text) => text,
  } satisfies Variable<string>,
  adminKey: {
    name: 'WRITEBACK_ADMIN_KEY',
    shownDefault: 'unset',
    secret: true,
    meaning:
      "The operator's API key. Unset with the embedded database: generated and kept in the data folder as `admin-key`. Unset with `DATABASE_URL`: there is no operator's key.",
    fallback: null as string | null,
    expected: 'a text without blanks',
    parse: (text) => (/^[!-~]+$/.test(text) ? text : undefined),
  } satisfies Variable<string | null>,
  encryptionKey: {
    name: 'WRITEBACK_ENCRYPTION_KEY',
    shownDefault: 'unset',
    secret: true,
    meaning:
      'The key that encrypts credentials at rest: 32 bytes, base64. Unset with the embedded database: generated and kept in the data folder as `encryption-key`. Required with `DATABASE_URL`.',
    fallback: null as Buffer | null,
    expected: '32 bytes in base64 (for example from: openssl rand -base64 32)',
    parse: parseEncryptionKey,
  } satisfies Variable<Buffer | null>,
  oldEncryptionKeys: {
    name: 'WRITEBACK_OLD_ENCRYPTION_KEYS',
    shownDefault: 'unset',
    secret: true,
    meaning:
      'Earlier encryption keys that can still decrypt, separated by commas. Needed until `writeback reencrypt` has moved everything to the current one.',
    fallback: null as Buffer[] | null,
    expected: '32 bytes in base64 each, separated by commas',
    parse: parseEncryptionKeys,
  } satisfies Variable<Buffer[] | null>,
  role: oneOf(
    'WRITEBACK_ROLE',
    'all',
    roles,
    '`all`, `api` or `worker`. Any number of processes of each role share one database.',
  ),
  allowInsecureProviders: {
    name: 'WRITEBACK_INSECURE_PROVIDERS',
    shownDefault: '`true` with the embedded database, else `false`',
    secret: false,
    meaning:
      'Allows plain http and loopback or private addresses as login, instance and webhook targets (the simulator, tests).',
    fallback: null as boolean | null,
    expected: 'true or false',
    parse: (text) => ({ true: true, false: false })[text],
  } satisfies Variable<boolean | null>,
  logLevel: oneOf(
    'LOG_LEVEL',
    'info',
    logLevels,
    `How much is logged (${logLevels.map((level) => `\`${level}\``).join(', ')}): JSON on standard output, readable lines on a terminal.`,
  ),
  maxWaiting: wholeNumber(
    'WRITEBACK_MAX_WAITING',
    2_000_000,
    [1, 1_000_000_000],
    'Writes that may wait in all: above it asynchronous calls are answered 429, until half of it is left.',
  ),
  groupConcurrency: wholeNumber(
    'WRITEBACK_GROUP_CONCURRENCY',
    4,
    [1, 100],
    'Calls of one installation that may be in flight at once.',
  ),
  workerSlots: wholeNumber(
    'WRITEBACK_WORKER_SLOTS',
    256,
    [1, 10_000],
    'Calls of all installations that one process may have in flight at once.',
  ),
  sweepMs: seconds(
    'WRITEBACK_SWEEP_SECONDS',
    2,
    [0.1, 3_600],
    'Seconds between two looks at the tables for what no wake-up announced: due groups and batches whose worker is gone.',
  ),
  leaseSeconds: wholeNumber(
    'WRITEBACK_LEASE_SECONDS',
    30,
    [5, 300],
    'Seconds without a sign of life after which what a process has in flight is taken from it and settled by another. The same for all processes.',
  ),
  retentionDays: wholeNumber(
    'WRITEBACK_RETENTION_DAYS',
    30,
    [1, 3_650],
    'Days that a finished write can be read. What has not finished is kept however old it is.',
  ),
  databasePool: wholeNumber('WRITEBACK_DB_POOL', 10, [2, 500], 'Database connections of one process.'),
  providerTimeoutMs: seconds(
    'WRITEBACK_PROVIDER_TIMEOUT_SECONDS',
    120,
    [1, 600],
    'Seconds that one call to the provider may take.',
  ),
} as const

type Variables = typeof variables
type Values = { -readonly [Key in keyof Variables]: Variables[Key] extends Variable<infer T> ? T : never }

/** The configuration of a process; times are in milliseconds. */
export type Config = Readonly<Omit<Values, 'allowInsecureProviders'> & { allowInsecureProviders: boolean }>

/** A variable that the process cannot start with; the message is one line that names it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

const entries = Object.entries(variables) as [keyof Values, Variable<unknown>][]

/** How many letters have to be changed, added or left out to get from one word to another. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 0; i < from.length; i++) {
    const next = [i + 1]
    for (let j = 0; j < to.length; j++) {
      const change = (row[j] ?? 0) + (from[i] === to[j] ? 0 : 1)
      next.push(Math.min(change, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}

function refuseUnknown(env: NodeJS.ProcessEnv): void {
  const known = entries.map(([, variable]) => variable.name)
  for (const name of Object.keys(env)) {
    if (!name.startsWith('WRITEBACK_') || known.includes(name)) continue
    const nearest = known
      .map((candidate) => ({ candidate, far: distance(name, candidate) }))
      .sort((a, b) => a.far - b.far)[0]
    const hint = nearest && nearest.far <= 4 ? ` Did you mean ${nearest.candidate}?` : ''
    throw new ConfigError(`${name} is not a variable that Writeback knows.${hint}`)
  }
}

function valueOf(variable: Variable<unknown>, text: string | undefined): unknown {
  if (text === undefined || text === '') return variable.fallback
  const value = variable.parse(text)
  if (value !== undefined) return value
  const shown = variable.secret ? '' : `, not ${JSON.stringify(text)}`
  throw new ConfigError(`${variable.name} must be ${variable.expected}${shown}.`)
}

/**
 * Reads the configuration from environment variables; an empty one counts as unset.
 *
 * @throws {ConfigError} for the first value that does not do, an unknown name beginning with
 *   `WRITEBACK_`, or a database without an encryption key
 */
export function loadConfig(env: NodeJS.ProcessEnv): Config {
  refuseUnknown(env)
  const values = Object.fromEntries(
    entries.map(([key, variable]) => [key, valueOf(variable, env[variable.name])]),
  ) as Values
  if (values.databaseUrl !== null && values.encryptionKey === null) {
    throw new ConfigError(
      `WRITEBACK_ENCRYPTION_KEY must be set when DATABASE_URL is: ${variables.encryptionKey.expected}.`,
    )
  }
  return { ...values, allowInsecureProviders: values.allowInsecureProviders ?? values.databaseUrl === null }
}

/** The configuration for the line that a process logs when it starts: secrets only as set or unset. */
export function redactedConfig(config: Config): Record<string, unknown> {
  return Object.fromEntries(
    entries.map(([key, { name, secret }]) => {
      const value = config[key]
      const shown = key === 'sweepMs' || key === 'providerTimeoutMs' ? config[key] / 1000 : value
      return [name, secret ? (value === null ? 'unset' : 'set') : shown]
    }),
  )
}

/** The table of every variable, as markdown. */
export function configTable(): string {
  const rows = entries.map(([, { name, shownDefault, meaning }]) => [`\`${name}\``, shownDefault, meaning])
  const table = [['variable', 'default', 'meaning'], ...rows]
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)))
  const line = (cells: string[], fill: string): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0, fill)).join(' | ')} |`
  const [header = [], ...body] = table
  return [line(header, ' '), line(['', '', ''], '-'), ...body.map((row) => line(row, ' '))].join('\n')
}
