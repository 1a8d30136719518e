import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { removeDataFolder } from '../../src/cli/demo/service-process.ts'
import { startEmbedded } from '../../src/db/embedded.ts'
import { silentLogger } from '../../src/kernel/log.ts'

/**
 * Keeps the run's PostgreSQL and its folder: a process of its own, so that both are gone after the bench
 * however that ended.
 */
const folder = process.argv[2] ?? ''
const dataDir = join(folder, 'data')
// Neither the server nor a channel whose other end is gone keeps this process running.
const alive = setInterval(() => undefined, 60_000)
const raised = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
try {
  const server = await startEmbedded({
    dataDir,
    logger: silentLogger,
    onExit: () => process.kill(process.pid, 'SIGTERM'),
  })
  process.send?.({ url: server.url, pid: server.pid })
  await raised
  await server.stop()
} finally {
  clearInterval(alive)
  await removeDataFolder(dataDir)
  await rm(folder, { recursive: true, force: true })
}
process.exit(0)
