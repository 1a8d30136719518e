import type { Db } from 'pg-boss'
import type { Sql, Tx } from '../db/connect.ts'

/** The shape in which postgres.js takes a statement whose text is not ours. */
type Unsafe = Pick<Sql | Tx, 'unsafe' | 'typed'>

const execute = async (
  sql: Unsafe,
  text: string,
  values?: unknown[],
  prepare = false,
): Promise<{ rows: unknown[] }> => ({
  rows: await sql.unsafe(text, withoutEncodedTwice(sql, text, values) as never[] | undefined, { prepare }),
})

/** The type of a text. */
const TEXT = 25

/** Where pg-boss casts a text that is JSON already, our driver would encode it once more: it is sent as the text it is. */
const withoutEncodedTwice = (sql: Unsafe, text: string, values: unknown[] | undefined) =>
  values?.map((value, place) =>
    typeof value === 'string' && text.includes(`$${place + 1}::json`) ? sql.typed(value, TEXT) : value,
  )

/**
 * Runs pg-boss's statements inside one of our transactions, so that a wake-up commits or rolls back
 * with the rows that need it. Pass it as the `db` option of a pg-boss call.
 */
export const bossInTransaction = (tx: Tx): Db => ({
  // Prepared: these few texts run all the time, and planning them takes several times as long as running them.
  executeSql: (text, values) => execute(tx, text, values, true),
})

/** Seconds for which a process that stopped dead in the middle of taking jobs may keep all others from it. */
const TURN_SECONDS = 5

/**
 * Waits until no other process takes jobs, for the length of the transaction. pg-boss counts a group's
 * jobs at work and takes more in one statement: two that count at the same time would both fill the
 * group up to its bound, and exceed it together.
 */
export async function takeTurn(tx: Tx): Promise<void> {
  await tx`
    select set_config('idle_in_transaction_session_timeout', ${`${TURN_SECONDS}s`}, true),
      pg_advisory_xact_lock(hashtext('writeback.take_jobs'))`
}

/** pg-boss wraps its house-keeping in transactions of its own, each as one text. */
const opensTransaction = (text: string): boolean => /^\s*begin\b/i.test(text)

/**
 * A text that fails leaves the transaction that it opened, and every later statement of its connection
 * would be refused: pg-boss's own pool throws such a connection away.
 */
async function executeWhole(serial: Sql, text: string, values?: unknown[]): Promise<{ rows: unknown[] }> {
  try {
    return await execute(serial, text, values)
  } catch (error) {
    await serial`rollback`.catch(() => undefined)
    throw error
  }
}

/**
 * Runs pg-boss on our own driver, so that a process has one driver to size and to recover.
 *
 * @param serial a pool whose statements share one connection: texts that open a transaction go there,
 *   since in a wider pool others' statements could fall into it
 * @param onNotify called for every notification of pg-boss's channel, and when listening begins anew
 *   after a lost connection: whatever was said in between is unknown
 */
export const bossOnPool = (sql: Sql, serial: Sql, onNotify: () => void): Db => ({
  executeSql: (text, values) =>
    opensTransaction(text) ? executeWhole(serial, text, values) : execute(sql, text, values),
  listen: async (channel, onNotification, onReconnect): Promise<{ close: () => Promise<void> }> => {
    let first = true
    const subscription = await sql.listen(
      channel,
      (payload) => {
        onNotification(payload)
        onNotify()
      },
      () => {
        if (!first) onReconnect()
        first = false
        onNotify()
      },
    )
    return { close: () => subscription.unlisten() }
  },
})
