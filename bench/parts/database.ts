import { once } from 'node:events'
import { connect, type Sql } from '../../src/db/connect.ts'
import { orItsEnd, startChild } from './child.ts'

/** The PostgreSQL server of a run. */
export interface BenchDatabase {
  /** Process id of the server, whose children serve the connections. */
  pid: number
  /** Statements that concern the whole server. */
  sql: Sql
  /** Makes an empty database. */
  create: (name: string) => Promise<OwnDatabase>
  /** Writes out what is dirty, so that no measurement pays for what came before it. */
  settle: () => Promise<void>
  stop: () => Promise<void>
}

/** A database of one contender. */
export interface OwnDatabase {
  url: string
  /** For looking into it; long statements are allowed. */
  sql: Sql
  /** Drops it, whoever is still connected. */
  drop: () => Promise<void>
}

/**
 * Starts an embedded PostgreSQL as the service has it, durable commits and all; the folder goes with it.
 *
 * @param quick nothing is waited for that only figures need
 */
export async function startDatabase(folder: string, quick = false): Promise<BenchDatabase> {
  const child = startChild({ file: 'bench/parts/database-process.ts', args: [folder], folder })
  const [{ url, pid }] = (await orItsEnd(child, once(child.process, 'message'))) as [
    { url: string; pid: number },
  ]
  const sql = open(url)
  let made = 0
  return {
    pid,
    sql,
    create: async (name) => {
      made += 1
      return createOwn(sql, url, `bench_${made}_${name.replaceAll(/[^a-z0-9]/g, '_')}`)
    },
    settle: async () => {
      if (!quick) await sql`checkpoint`
    },
    stop: async () => {
      await sql.end({ timeout: 5 })
      await child.stop()
    },
  }
}

const open = (url: string): Sql => connect({ url, max: 4, applicationName: 'bench', statementTimeoutMs: 0 })

async function createOwn(server: Sql, serverUrl: string, name: string): Promise<OwnDatabase> {
  await server`create database ${server(name)}`
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  const sql = open(url.href)
  return {
    url: url.href,
    sql,
    drop: async () => {
      await sql.end({ timeout: 5 })
      await server`drop database if exists ${server(name)} with (force)`
    },
  }
}
