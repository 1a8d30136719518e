import { setTimeout as delay } from 'node:timers/promises'
import { startEmbedded, type Embedded } from '../../src/db/embedded.ts'
import type { Logger } from '../../src/kernel/log.ts'
import { messageOf } from '../../src/kernel/errors.ts'

/** Milliseconds between two tries to start it. */
const AGAIN_MS = 250
const START_TRIES = 40

/** The database of a run: a PostgreSQL that is killed and started again on its folder and port. */
export interface KillableDatabase {
  readonly url: string
  /** How often it has been killed, and whether it is down now: by them, whether it was up all the time between two looks. */
  readonly outages: { count: number; isDown: boolean }
  /**
   * Sends SIGKILL to the server, and starts it again after `downMs`; resolves when it is up.
   * False when it was down already.
   */
  kill: (downMs: number) => Promise<boolean>
  /** Resolves when it is up. */
  up: () => Promise<void>
  stop: () => Promise<void>
}

/** Starts an embedded PostgreSQL, in processes of its own, that can be killed. */
export async function startDatabase(dataDir: string, logger: Logger): Promise<KillableDatabase> {
  let server: Embedded = await startEmbedded({ dataDir, logger })
  const { url, port } = server
  let restarting: Promise<void> | null = null
  let isStopping = false
  const outages = { count: 0, isDown: false }

  const startAgain = async (): Promise<void> => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        server = await startEmbedded({ dataDir, logger, port })
        return
      } catch (error) {
        if (attempt === START_TRIES) throw error
        logger.warn({ error: messageOf(error) }, 'the database did not start; trying again')
        await delay(AGAIN_MS)
      }
    }
  }
  const restart = async (downMs: number): Promise<void> => {
    outages.count += 1
    outages.isDown = true
    process.kill(server.pid, 'SIGKILL')
    // It gives the folder free, for this process to start another server on it.
    await server.stop()
    await delay(downMs)
    if (!isStopping) await startAgain()
    outages.isDown = false
    restarting = null
  }
  return {
    url,
    outages,
    kill: async (downMs) => {
      if (restarting !== null || isStopping) return false
      restarting = restart(downMs)
      await restarting
      return true
    },
    up: async () => {
      await restarting
    },
    stop: async () => {
      isStopping = true
      await restarting
      await server.stop()
    },
  }
}
