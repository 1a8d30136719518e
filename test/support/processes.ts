import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { join, resolve } from 'node:path'
import { ADMIN_KEY } from './service.ts'

const root = resolve(import.meta.dirname, '../..')

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
  const child = spawn(process.execPath, [join(root, 'src/main.ts'), 'serve'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      PORT: '0',
      DATABASE_URL: databaseUrl,
      WRITEBACK_ADMIN_KEY: ADMIN_KEY,
      WRITEBACK_ENCRYPTION_KEY: encryptionKey,
      WRITEBACK_INSECURE_PROVIDERS: 'true',
      WRITEBACK_DB_POOL: '5',
      ...env,
    },
  })
  const lines: Record<string, unknown>[] = []
  const exited = once(child, 'exit') as Promise<[number | null]>
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const url = await new Promise<string>((listening, failed) => {
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line = JSON.parse(text) as Record<string, unknown>
      lines.push(line)
      if (line['msg'] === 'listening') listening(line['url'] as string)
    })
    void exited.then(([code]) =>
      failed(new Error(`the process ended with ${String(code)} before it listened: ${errors}`)),
    )
  })
  return {
    url,
    child,
    lines,
    end: async (signal) => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      const [code] = await exited
      return code
    },
  }
}
