import postgres from 'postgres'
import { arrayTypes } from './array-types.ts'
import { createInstancePool } from './instance-pool.ts'
import { createListener } from './listener.ts'
import { socketOnce } from './open-socket.ts'
import { statementsOn } from './statements.ts'
import { beginOn } from './transactions.ts'

/** A pool of connections: run statements with it, open transactions with `sql.begin`. */
export type Database = postgres.Sql
/** The same; the name used where a function runs statements on a pool. */
export type Sql = postgres.Sql
/** An open transaction, as handed to the callback of `sql.begin`. */
export type Tx = postgres.TransactionSql
/** Anything that runs statements: a pool or an open transaction. */
export type Queryable = postgres.ISql

/** Where the database is and how it is used. */
export interface ConnectOptions {
  /** `postgres://user:password@host:port/database`; `?host=/folder` names a Unix socket's folder. */
  url: string
  /** Connections in all, at least 2 (default 10). LISTEN takes one more. */
  max?: number
  /** Shown in `pg_stat_activity` (default `writeback`). */
  applicationName?: string
  /** Milliseconds after which the server ends a statement; 0 for never (default 30 s). */
  statementTimeoutMs?: number
  /** Receives the server's notices (default: they are dropped; the driver would print them). */
  onnotice?: (notice: postgres.Notice) => void
}

/** bigint as a number: sequences and counts stay far below 2^53, and a value beyond it is refused, never rounded. */
const bigintAsNumber = {
  to: 20,
  from: [20],
  serialize: (value: number | bigint) => value.toString(),
  parse: (text: string) => {
    const value = Number(text)
    if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} does not fit a number`)
    return value
  },
}

/**
 * Every hot statement has its index, and a prepared plan lives long: one made while a day's partition was
 * empty would go on to read the whole of it once it is full, until statistics are gathered. The right plan
 * does not depend on the values either, and making one takes several times as long as running it: with a
 * partition for each day the server would go on making a new one at every call.
 */
const planning = { enable_seqscan: 'off', enable_bitmapscan: 'off', plan_cache_mode: 'force_generic_plan' }

/** The server ends a statement in its own time; an answer that has not come well after that will not come. */
const patienceFor = (statementTimeoutMs: number): number | null =>
  statementTimeoutMs === 0 ? null : statementTimeoutMs * 1.2 + 500

/** What an instance of the driver calls when its connection closes or hears something. */
interface Callbacks {
  onclose?: () => void
  onnotify?: (channel: string, payload: string) => void
}

/** The URL without a `host` parameter, and that host: the driver itself would send it to the server as a setting. */
function splitSocketFolder(url: string): { url: string; host?: string } {
  const parsed = new URL(url)
  const host = parsed.searchParams.get('host')
  if (host === null) return { url }
  parsed.searchParams.delete('host')
  return { url: parsed.href, host }
}

/**
 * Opens a pool. No connection is made before the first statement.
 *
 * Statements and transactions have connections of their own, half of `max` each, so that a statement
 * made while a transaction is open can never wait for that transaction's end. Each waits for the first
 * of its connections that is free; nothing is queued behind a slow one.
 *
 * `timestamptz` comes as `Date`, `bigint` as number, `json` and `jsonb` parsed; a value for a json column
 * is passed as it is (`sql.json(value)` where the type is not known from the statement), a list as a
 * plain array; one of booleans, bytes or dates, which the driver takes for a single one, as
 * `sql.typed(list, 1000 | 1001 | 1185)`.
 *
 * A lost connection rejects what runs on it (`isDatabaseUnavailable`) and nothing else; whether a commit
 * that was under way took place is not known then. One whose peer falls silent counts as lost some time
 * after the statement's time is over. While the server is away, what cannot be tried is rejected at once;
 * while it is slow, what waits for a connection is rejected after as long. `listen` listens again by itself; what was said
 * meanwhile is missed.
 *
 * @throws {TypeError} when the URL is not one
 */
export function connect(options: ConnectOptions): Database {
  const { url, ...socketFolder } = splitSocketFolder(options.url)
  const { max: asked = 10, statementTimeoutMs = 30_000 } = options
  const max = Math.max(2, asked)
  const settings = {
    ...socketFolder,
    max: 1,
    types: { bigint: bigintAsNumber, ...arrayTypes(bigintAsNumber.parse) },
    fetch_types: false,
    connect_timeout: 10,
    // a peer that vanished without a word is noticed in about a minute
    keep_alive: 15,
    max_lifetime: null,
    onnotice: options.onnotice ?? (() => undefined),
    connection: {
      application_name: options.applicationName ?? 'writeback',
      TimeZone: 'UTC',
      statement_timeout: statementTimeoutMs,
      idle_in_transaction_session_timeout: 30_000,
      ...planning,
    },
  }
  const open = (callbacks: Callbacks): Database =>
    postgres(url, { ...settings, ...callbacks, ...{ socket: socketOnce(settings.connect_timeout * 1000) } })
  const openPooled = (onclose: () => void): Database => open({ onclose })
  const forTransactions = Math.ceil(max / 2)
  const patienceMs = patienceFor(statementTimeoutMs)
  const transactions = createInstancePool(openPooled, { size: forTransactions, patienceMs })
  const statements = createInstancePool(openPooled, { size: max - forTransactions, patienceMs })
  const listener = createListener(open)
  return statementsOn(statements, open({}), {
    begin: beginOn(transactions),
    // nobody reads the driver's account of the LISTEN statement itself
    listen: ((...args) => listener.listen(...args)) as Database['listen'],
    end: async (how?: { timeout?: number }) => {
      await Promise.all([statements.end(how), transactions.end(how), listener.end()])
    },
    reserve: () => Promise.reject(new Error('A reserved connection is not safe with this driver: use begin')),
  })
}
