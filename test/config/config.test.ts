import { describe, expect, test } from 'vitest'
import { configTable, loadConfig, redactedConfig } from '../../src/config.ts'

const key = Buffer.alloc(32, 7)
const oldKeys = [Buffer.alloc(32, 8), Buffer.alloc(32, 0xff)]
const withDatabase = {
  DATABASE_URL: 'postgres://someone:hunter2@db.example:5432/writeback',
  WRITEBACK_ENCRYPTION_KEY: key.toString('base64'),
}

/** The message that an environment is refused with. */
function refusal(env: NodeJS.ProcessEnv): string {
  try {
    loadConfig(env)
  } catch (error) {
    return (error as Error).message
  }
  return 'not refused'
}

describe('loadConfig', () => {
  test('needs nothing', () => {
    expect(loadConfig({ PATH: '/bin' })).toEqual({
      port: 8080,
      host: '127.0.0.1',
      publicUrl: null,
      databaseUrl: null,
      dataDir: '.writeback',
      adminKey: null,
      encryptionKey: null,
      oldEncryptionKeys: null,
      role: 'all',
      allowInsecureProviders: true,
      logLevel: 'info',
      maxWaiting: 2_000_000,
      groupConcurrency: 4,
      workerSlots: 256,
      sweepMs: 2_000,
      leaseSeconds: 30,
      retentionDays: 30,
      databasePool: 10,
      providerTimeoutMs: 120_000,
    })
  })

  test('takes every variable', () => {
    expect(
      loadConfig({
        ...withDatabase,
        PORT: '0',
        HOST: '::',
        WRITEBACK_PUBLIC_URL: 'https://writeback.example.com/base/',
        WRITEBACK_DATA_DIR: '/data',
        WRITEBACK_ADMIN_KEY: 'operator',
        WRITEBACK_OLD_ENCRYPTION_KEYS: `${oldKeys[0]!.toString('base64')}, ${oldKeys[1]!.toString('base64url')}`,
        WRITEBACK_ROLE: 'worker',
        WRITEBACK_INSECURE_PROVIDERS: 'true',
        LOG_LEVEL: 'debug',
        WRITEBACK_MAX_WAITING: '10',
        WRITEBACK_GROUP_CONCURRENCY: '2',
        WRITEBACK_WORKER_SLOTS: '3',
        WRITEBACK_SWEEP_SECONDS: '0.5',
        WRITEBACK_LEASE_SECONDS: '5',
        WRITEBACK_RETENTION_DAYS: '7',
        WRITEBACK_DB_POOL: '5',
        WRITEBACK_PROVIDER_TIMEOUT_SECONDS: '30',
      }),
    ).toEqual({
      port: 0,
      host: '::',
      publicUrl: 'https://writeback.example.com/base',
      databaseUrl: withDatabase.DATABASE_URL,
      dataDir: '/data',
      adminKey: 'operator',
      encryptionKey: key,
      oldEncryptionKeys: oldKeys,
      role: 'worker',
      allowInsecureProviders: true,
      logLevel: 'debug',
      maxWaiting: 10,
      groupConcurrency: 2,
      workerSlots: 3,
      sweepMs: 500,
      leaseSeconds: 5,
      retentionDays: 7,
      databasePool: 5,
      providerTimeoutMs: 30_000,
    })
  })

  test('takes an empty value for none', () => {
    expect(loadConfig({ PORT: '', DATABASE_URL: '', WRITEBACK_ROLE: '' })).toEqual(loadConfig({}))
  })

  test('allows insecure providers with the embedded database only', () => {
    expect(loadConfig({}).allowInsecureProviders).toBe(true)
    expect(loadConfig(withDatabase).allowInsecureProviders).toBe(false)
    expect(loadConfig({ WRITEBACK_INSECURE_PROVIDERS: 'false' }).allowInsecureProviders).toBe(false)
  })

  test.each([
    ['PORT', '65536', 'PORT must be a whole number from 0 to 65535, not "65536".'],
    ['PORT', '80a', 'PORT must be a whole number from 0 to 65535, not "80a".'],
    ['PORT', '-1', 'PORT must be a whole number from 0 to 65535, not "-1".'],
    [
      'WRITEBACK_PUBLIC_URL',
      'ftp://a.example',
      'WRITEBACK_PUBLIC_URL must be an http or https URL without a query, not "ftp://a.example".',
    ],
    ['WRITEBACK_PUBLIC_URL', 'https://a.example/?b', 'WRITEBACK_PUBLIC_URL must be an http or https URL'],
    ['WRITEBACK_PUBLIC_URL', 'writeback.example.com', 'WRITEBACK_PUBLIC_URL must be an http or https URL'],
    ['HOST', 'a b', 'HOST must be a host name or an address, not "a b".'],
    [
      'DATABASE_URL',
      'mysql://u:hunter2@h/d',
      'DATABASE_URL must be a URL that begins with postgres:// or postgresql://.',
    ],
    ['WRITEBACK_ADMIN_KEY', 'hunter 2', 'WRITEBACK_ADMIN_KEY must be a text without blanks.'],
    [
      'WRITEBACK_ENCRYPTION_KEY',
      Buffer.alloc(31).toString('base64'),
      'WRITEBACK_ENCRYPTION_KEY must be 32 bytes in base64',
    ],
    ['WRITEBACK_ENCRYPTION_KEY', '§§§', 'WRITEBACK_ENCRYPTION_KEY must be 32 bytes in base64'],
    [
      'WRITEBACK_OLD_ENCRYPTION_KEYS',
      `${key.toString('base64')},hunter2`,
      'WRITEBACK_OLD_ENCRYPTION_KEYS must be 32 bytes in base64 each, separated by commas.',
    ],
    ['WRITEBACK_ROLE', 'both', 'WRITEBACK_ROLE must be one of all, api, worker, not "both".'],
    ['WRITEBACK_INSECURE_PROVIDERS', 'yes', 'WRITEBACK_INSECURE_PROVIDERS must be true or false, not "yes".'],
    [
      'LOG_LEVEL',
      'loud',
      'LOG_LEVEL must be one of trace, debug, info, warn, error, fatal, silent, not "loud".',
    ],
    [
      'WRITEBACK_MAX_WAITING',
      '0',
      'WRITEBACK_MAX_WAITING must be a whole number from 1 to 1000000000, not "0".',
    ],
    [
      'WRITEBACK_GROUP_CONCURRENCY',
      '1.5',
      'WRITEBACK_GROUP_CONCURRENCY must be a whole number from 1 to 100, not "1.5".',
    ],
    [
      'WRITEBACK_WORKER_SLOTS',
      '0',
      'WRITEBACK_WORKER_SLOTS must be a whole number from 1 to 10000, not "0".',
    ],
    [
      'WRITEBACK_SWEEP_SECONDS',
      '0',
      'WRITEBACK_SWEEP_SECONDS must be a number of seconds from 0.1 to 3600, not "0".',
    ],
    ['WRITEBACK_DB_POOL', '1', 'WRITEBACK_DB_POOL must be a whole number from 2 to 500, not "1".'],
    [
      'WRITEBACK_LEASE_SECONDS',
      '4',
      'WRITEBACK_LEASE_SECONDS must be a whole number from 5 to 300, not "4".',
    ],
    [
      'WRITEBACK_RETENTION_DAYS',
      '0',
      'WRITEBACK_RETENTION_DAYS must be a whole number from 1 to 3650, not "0".',
    ],
    [
      'WRITEBACK_PROVIDER_TIMEOUT_SECONDS',
      'x',
      'WRITEBACK_PROVIDER_TIMEOUT_SECONDS must be a number of seconds from 1 to 600, not "x".',
    ],
  ])('refuses %s=%s in one line that names it', (name, value, message) => {
    const refused = refusal({ [name]: value })
    expect(refused).toContain(message)
    expect(refused).not.toContain('\n')
    expect(refused).not.toContain('hunter')
  })

  test('tests above leave no variable out', () => {
    const tried = ['WRITEBACK_DATA_DIR'].concat(
      Object.keys(redactedConfig(loadConfig({}))).filter((name) =>
        refusal({ [name]: '\n' }).startsWith(`${name} must be `),
      ),
    )
    expect(tried.sort()).toEqual(Object.keys(redactedConfig(loadConfig({}))).sort())
  })

  test('refuses a name that it does not know and says which was meant', () => {
    expect(refusal({ WRITEBACK_ROLES: 'api' })).toBe(
      'WRITEBACK_ROLES is not a variable that Writeback knows. Did you mean WRITEBACK_ROLE?',
    )
    expect(refusal({ WRITEBACK_FAVOURITE_COLOUR: 'red' })).toBe(
      'WRITEBACK_FAVOURITE_COLOUR is not a variable that Writeback knows.',
    )
  })

  test('refuses a database without an encryption key', () => {
    expect(refusal({ DATABASE_URL: withDatabase.DATABASE_URL })).toMatch(
      /^WRITEBACK_ENCRYPTION_KEY must be set when DATABASE_URL is/,
    )
  })
})

describe('redactedConfig', () => {
  test('shows every variable and no secret', () => {
    const shown = redactedConfig(
      loadConfig({
        ...withDatabase,
        WRITEBACK_ADMIN_KEY: 'hunter2',
        WRITEBACK_OLD_ENCRYPTION_KEYS: key.toString('base64'),
      }),
    )
    expect(shown).toMatchObject({
      PORT: 8080,
      DATABASE_URL: 'set',
      WRITEBACK_ADMIN_KEY: 'set',
      WRITEBACK_ENCRYPTION_KEY: 'set',
      WRITEBACK_OLD_ENCRYPTION_KEYS: 'set',
      WRITEBACK_SWEEP_SECONDS: 2,
    })
    expect(JSON.stringify(shown)).not.toMatch(/hunter2|BwcHBwcH/)
  })
})

describe('configTable', () => {
  test('has a row for every variable', () => {
    const names = configTable()
      .split('\n')
      .slice(2)
      .map((row) => /^\| `([A-Z_]+)` /.exec(row)?.[1])
    expect(names).toEqual(Object.keys(redactedConfig(loadConfig({}))))
  })
})
