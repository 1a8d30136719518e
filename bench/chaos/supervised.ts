import { setTimeout as delay } from 'node:timers/promises'
import { startServe, type ServeProcess } from './serve-process.ts'

/** Milliseconds until a process that did not come up is started again. */
const AGAIN_MS = 500

/** A process that ended although nobody had killed it, and for no want of a database. */
export interface OwnEnd {
  name: string
  how: string
}

/** Options of {@link Supervised}. */
export interface SupervisedOptions {
  name: string
  env: Record<string, string>
  /** Where its output goes, start after start. */
  logFile: string
  /** Called with the address of a process that listens, and with null when it is gone. */
  onUrl: (url: string | null) => void
  /** The database's outages so far: a process need not come up without one. */
  outages: { readonly count: number; readonly isDown: boolean }
  /** Called when it ended by itself. */
  onOwnEnd: (end: OwnEnd) => void
}

/** A process of the service that is started again whenever it ends, as an operator's supervisor would. */
export class Supervised {
  readonly #options: SupervisedOptions
  readonly #stopping = new AbortController()
  readonly #running: Promise<void>
  #process: ServeProcess | null = null
  /** Set by a kill: how long it stays down. */
  #downMs: number | null = null

  constructor(options: SupervisedOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  /** Sends SIGKILL; false when there was no process just then. */
  kill(downMs: number): boolean {
    if (this.#process === null) return false
    this.#downMs = downMs
    this.#process.child.kill('SIGKILL')
    return true
  }

  /** Ends it for good, by SIGTERM. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#process?.child.kill('SIGTERM')
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      await this.#runOnce(() => signal.aborted)
      const pauseMs = this.#downMs ?? AGAIN_MS
      this.#downMs = null
      // The wait ends at once when the run does.
      await delay(pauseMs, undefined, { signal }).catch(() => undefined)
    }
  }

  async #runOnce(isStopping: () => boolean): Promise<void> {
    const { name, env, logFile, onUrl, onOwnEnd, outages } = this.#options
    const before = { ...outages }
    const started = startServe({ env, logFile })
    this.#process = started
    const url = await started.url.catch(() => null)
    if (url !== null) onUrl(url)
    const how = await started.ended
    this.#process = null
    onUrl(null)
    const isExcused = url === null && (before.isDown || before.count < outages.count)
    if (this.#downMs === null && !isExcused && !isStopping()) onOwnEnd({ name, how })
  }
}
