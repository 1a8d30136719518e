import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { startServe } from '../../bench/chaos/serve-process.ts'
import { ADMIN_KEY } from './service.ts'

/** A process of the service, started as an operator would. */
export interface ServiceProcess {
  url: string
  child: ChildProcess
  /** The lines that it logged, parsed. */
  lines: Record<string, unknown>[]
  /** Sends a signal and waits for the end; resolves with the exit code, or null after a signal. */
  end: (signal: NodeJS.Signals) => Promise<number | null>
}

/** Starts `writeback serve` and waits until it listens. */
export async function startProcess(
  databaseUrl: string,
  encryptionKey: string,
  env: Record<string, string> = {},
): Promise<ServiceProcess> {
  const lines: Record<string, unknown>[] = []
  const { child, url } = startServe({
    env: {
      DATABASE_URL: databaseUrl,
      WRITEBACK_ADMIN_KEY: ADMIN_KEY,
      WRITEBACK_ENCRYPTION_KEY: encryptionKey,
      WRITEBACK_INSECURE_PROVIDERS: 'true',
      WRITEBACK_DB_POOL: '5',
      ...env,
    },
    onLine: (line) => lines.push(JSON.parse(line) as Record<string, unknown>),
  })
  const exited = once(child, 'exit') as Promise<[number | null]>
  return {
    url: await url,
    child,
    lines,
    end: async (signal) => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      const [code] = await exited
      return code
    },
  }
}
