import type { AddressInfo } from 'node:net'
import { Org } from './org.ts'
import { createOrgServer } from './server.ts'
import type { ConnectedApp } from './sessions.ts'

export type { AssignmentRuleInput } from './assignment-rules.ts'
export type { DuplicateRuleInput } from './duplicate-rules.ts'
export type { Fault, FaultAction, FaultMatch, Gate } from './faults.ts'
export type { Org } from './org.ts'
export type { CallSummary, RequestEntry, RequestTotals } from './request-log.ts'
export type { ConnectedApp } from './sessions.ts'
export type { Settings } from './settings.ts'

/** How a simulator is started; everything has a default. */
export interface SimulatorOptions {
  /** Default 127.0.0.1. */
  host?: string
  /** Where callers reach it, for `instance_url`. Default: its own address, or the caller's `Host` when `host` is a wildcard. */
  publicUrl?: string
  /** Default 0: a free port. */
  port?: number
  /** Decides ids, tokens and the draws of faults and latency. Default 1. */
  seed?: number
  /** Default: {@link demoApp}. */
  apps?: ConnectedApp[]
  /** Default 5,000,000. */
  dailyApiLimit?: number
  /** Access-token life in seconds, sliding with use. Default 7200. */
  sessionSeconds?: number
  /** Refresh Token Rotation for all apps. Default false. */
  rotateRefreshTokens?: boolean
  /** Gets one line per request. */
  log?: (line: object) => void
}

/** A running simulator. */
export interface Simulator {
  /** Login host and instance host at once. */
  readonly url: string
  /** The org itself, for looking into and steering from the same process. */
  readonly org: Org
  /** Stops listening and destroys open sockets. */
  close(): Promise<void>
}

/** The connected app that a simulator has unless told otherwise; all grants, JWT only once given a key. */
export const demoApp: ConnectedApp = {
  clientId: 'writeback-demo',
  clientSecret: 'demo-secret',
  users: ['integration@writeback.example'],
  refreshTokens: ['demo-refresh-token'],
}

/**
 * Starts a Salesforce stand-in over HTTP.
 * @throws {Error} when the port is taken
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { dailyApiLimit, sessionSeconds, rotateRefreshTokens } = options
  const host = options.host ?? '127.0.0.1'
  const org = new Org({
    seed: options.seed ?? 1,
    apps: options.apps ?? [demoApp],
    settings: {
      ...(dailyApiLimit === undefined ? {} : { dailyApiLimit }),
      ...(sessionSeconds === undefined ? {} : { sessionSeconds }),
      ...(rotateRefreshTokens === undefined ? {} : { rotateRefreshTokens }),
    },
  })
  const server = createOrgServer(org, options.log)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const { port } = server.address() as AddressInfo
  const isWildcard = host === '0.0.0.0' || host === '::'
  const url = `http://${isWildcard ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host}:${port}`
  org.url = options.publicUrl ?? (isWildcard ? undefined : url)
  let closing: Promise<void> | undefined
  const close = (): Promise<void> => {
    closing ??= new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
    return closing
  }
  return { url, org, close }
}
