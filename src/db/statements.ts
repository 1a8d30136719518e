/** Single statements, each on the first connection of a pool that is free. */
import type postgres from 'postgres'
import { connectionError, isPendingQuery, type InstancePool, type PendingQuery } from './instance-pool.ts'

type Sql = postgres.Sql

/** What the driver's own pool does when a query is sent. */
function driverHandler(sql: Sql): PendingQuery['handler'] {
  const probe: unknown = sql``
  if (!isPendingQuery(probe)) throw new TypeError('the driver makes its queries in another way than 3.4.9')
  return probe.handler
}

/** Sends a query, when its turn comes, on an instance of the pool. */
function routeTo(pool: InstancePool): <T>(value: T) => T {
  const send = async (query: PendingQuery & Promise<unknown>): Promise<void> => {
    const instance = await pool.take()
    instance.watch()
    query.then(
      () => pool.giveBack(instance),
      (error: unknown) => pool.giveBack(instance, error),
    )
    // what is sent to a socket between its error and its close is never answered by the driver
    instance.onclose = () => query.reject(connectionError('CONNECTION_CLOSED', 'the connection was lost'))
    driverHandler(instance.sql)(query)
  }
  return (value) => {
    if (isPendingQuery(value)) {
      value.handler = (query) => {
        send(query as PendingQuery & Promise<unknown>).catch((error: unknown) => query.reject(error as Error))
      }
    }
    return value
  }
}

/**
 * A `sql` whose statements run on a pool.
 *
 * @param template a driver instance that makes the queries and never sends one itself
 * @param replaced what else the result does in its own way (`begin`, `end`)
 */
export function statementsOn(pool: InstancePool, template: Sql, replaced: Partial<Sql>): Sql {
  const route = routeTo(pool)
  const unsafe = template.unsafe.bind(template)
  const file = template.file.bind(template)
  Object.assign(template, replaced, {
    unsafe: (...args: Parameters<Sql['unsafe']>) => route(unsafe(...args)),
    file: (...args: Parameters<Sql['file']>) => route(file(...args)),
    notify: (channel: string, payload: string) => route(template`select pg_notify(${channel}, ${payload})`),
  })
  return new Proxy(template, {
    apply: (target, self, args) => route<unknown>(Reflect.apply(target, self, args)),
  })
}
