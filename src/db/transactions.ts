/**
 * Transactions that survive the loss of their connection: from the moment it closes nothing of the
 * transaction reaches the driver any more (see instance-pool, 2). Statements are rejected, and the end
 * of the callback is withheld from the driver, which has already rejected `begin`.
 */
import type postgres from 'postgres'
import { noteCommitUnknown } from './pg-errors.ts'
import { connectionError, isPendingQuery, type Instance, type InstancePool } from './instance-pool.ts'

type Sql = postgres.Sql
type Tx = postgres.TransactionSql
type Callback = (tx: Tx) => unknown

/** What an open transaction knows of its own end; `refusal` is set once no statement may pass. */
interface Life {
  refusal: Error | undefined
  readonly lost: Promise<never>
  readonly watch: Instance['watch']
}

const never = new Promise<never>(() => undefined)

/** Lets a query through to the driver only while its transaction may still speak. */
function guardQuery<T>(value: T, life: Life): T {
  if (!isPendingQuery(value)) return value
  const send = value.handler
  value.handler = (query) => {
    if (life.refusal !== undefined) {
      query.reject(life.refusal)
      return
    }
    const answered = life.watch()
    value.then(answered, answered)
    send(query)
  }
  return value
}

/** Runs a callback; its end reaches the driver only if there is still a connection to end on. */
async function runUnlessLost<T>(run: () => T | Promise<T>, life: Life): Promise<T> {
  const isLost = (): boolean => life.refusal !== undefined
  if (isLost()) return never
  try {
    const result = run()
    const value = (Array.isArray(result) ? await Promise.all(result) : await result) as T
    return isLost() ? await never : value
  } catch (error) {
    if (isLost()) return never
    throw error
  }
}

/** A transaction whose statements, savepoints and notifications all pass the guard. */
function guardTransaction(tx: Tx, life: Life): Tx {
  const savepoint = (first: string | Callback, second?: Callback): Promise<unknown> => {
    const run = typeof first === 'string' ? second : first
    if (run === undefined) return Promise.reject(new TypeError('savepoint needs a callback'))
    if (life.refusal !== undefined) return Promise.reject(life.refusal)
    const guarded = (inner: Tx) => runUnlessLost(() => run(guardTransaction(inner, life)), life)
    const done = typeof first === 'string' ? tx.savepoint(first, guarded) : tx.savepoint(guarded)
    return Promise.race([done, life.lost])
  }
  const replaced: Record<PropertyKey, unknown> = {
    savepoint,
    unsafe: (...args: Parameters<Tx['unsafe']>) => guardQuery(tx.unsafe(...args), life),
    file: (...args: Parameters<Tx['file']>) => guardQuery(tx.file(...args), life),
    // the driver's own would go through the pool and wait for this very transaction
    notify: (channel: string, payload: string) =>
      guardQuery(tx`select pg_notify(${channel}, ${payload})`, life),
  }
  return new Proxy(tx, {
    apply: (target, self, args) => guardQuery<unknown>(Reflect.apply(target, self, args), life),
    get: (target, name): unknown => replaced[name] ?? Reflect.get(target, name),
  })
}

/** Runs one transaction on an instance that nobody else uses meanwhile. */
function runOn(instance: Instance, options: string, run: Callback): Promise<unknown> {
  let lose: (error: Error) => void = () => undefined
  const lost = new Promise<never>((_, reject) => (lose = reject))
  const life: Life = { refusal: undefined, lost, watch: () => instance.watch() }
  instance.onclose = () => {
    life.refusal = connectionError('CONNECTION_CLOSED', 'the connection was lost inside a transaction')
    lose(life.refusal)
  }
  // the driver's own BEGIN, COMMIT and ROLLBACK
  let answered = instance.watch()
  let isCommitting = false
  const body = async (tx: Tx): Promise<unknown> => {
    answered()
    try {
      const result = await runUnlessLost(() => run(guardTransaction(tx, life)), life)
      isCommitting = true
      return result
    } finally {
      answered = instance.watch()
    }
  }
  // what is sent to a socket between its error and its close is never answered by the driver
  return Promise.race([instance.sql.begin(options, body), lost])
    .catch((error: unknown) => {
      if (isCommitting && !isServersOwn(error)) noteCommitUnknown(error)
      throw error
    })
    .finally(() => {
      life.refusal ??= connectionError(
        'TRANSACTION_OVER',
        'a statement came after the end of its transaction',
      )
    })
}

/** The server's word on the transaction itself, by which it is undone; with anything worse the word on it is lost. */
const isServersOwn = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'severity' in error && error.severity === 'ERROR'

/** The `begin` of a pool, with the driver's own signature. */
export function beginOn(pool: InstancePool): Sql['begin'] {
  const begin = async (first: string | Callback, second?: Callback): Promise<unknown> => {
    const [options, run] = typeof first === 'string' ? [first, second] : ['', first]
    if (run === undefined) throw new TypeError('begin needs a callback')
    const instance = await pool.take()
    try {
      const result = await runOn(instance, options, run)
      pool.giveBack(instance)
      return result
    } catch (error) {
      pool.giveBack(instance, error)
      throw error
    }
  }
  return begin as Sql['begin']
}
