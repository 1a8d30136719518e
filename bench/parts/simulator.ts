import type { Latency } from '../../src/simulator/settings.ts'
import type { RequestEntry, RequestTotals } from '../../src/simulator/request-log.ts'
import type { Bench } from '../harness/bench.ts'
import { orItsEnd, startChild } from './child.ts'

/** A Salesforce org in a process of its own. */
export interface SimulatorProcess {
  url: string
  pid: number
  setLatency: (latencyMs: Latency) => Promise<void>
  totals: () => Promise<RequestTotals>
  /** Its last requests, 10,000 at most; tokens are among them. */
  requests: (limit: number) => Promise<RequestEntry[]>
}

let started = 0

/** Starts the simulator; it ends with the question. It may hold a million records. */
export async function startSimulatorProcess(bench: Bench): Promise<SimulatorProcess> {
  const listening = Promise.withResolvers<string>()
  started += 1
  const child = startChild({
    file: 'src/main.ts',
    args: ['simulator', '--port', '0', '--quiet', '--seed', String(bench.options.seed + started)],
    folder: bench.folder,
    execArgv: ['--max-old-space-size=8192'],
    onLine: (line) => {
      const [, url] = /^The simulator listens on (\S+)/.exec(line) ?? []
      if (url !== undefined) listening.resolve(url)
    },
  })
  bench.stops.add(child.stop)
  const url = await orItsEnd(child, listening.promise)
  return {
    url,
    pid: child.pid,
    setLatency: async (latencyMs) => {
      await admin(url, 'settings', { latencyMs })
    },
    totals: async () => (await admin<{ requests: RequestTotals }>(url, 'state')).requests,
    requests: async (limit) =>
      (await admin<{ requests: RequestEntry[] }>(url, `requests?limit=${limit}`)).requests,
  }
}

async function admin<T>(url: string, path: string, body?: object): Promise<T> {
  const response = await fetch(
    `${url}/__admin/${path}`,
    body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) },
  )
  if (!response.ok) throw new Error(`the simulator answered ${path} with ${response.status}`)
  return (await response.json()) as T
}
