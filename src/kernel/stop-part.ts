import type { Logger } from './log.ts'

/**
 * Stops one part of a process, for at most `withinMs` milliseconds: one that fails to stop, or does not come to
 * an end, is told in the log and keeps neither the others nor the process from theirs.
 */
export async function stopPart(
  stop: () => Promise<unknown>,
  { logger, withinMs }: { logger: Pick<Logger, 'error'>; withinMs: number },
): Promise<void> {
  const late = Promise.withResolvers<never>()
  // Holds the process until then: whatever hangs may hold nothing, and the other parts are still to be stopped.
  const timer = setTimeout(() => late.reject(new Error(`It had not stopped after ${withinMs} ms.`)), withinMs)
  try {
    await Promise.race([stop(), late.promise])
  } catch (error) {
    logger.error({ err: error }, 'a part did not stop cleanly')
  } finally {
    clearTimeout(timer)
  }
}
