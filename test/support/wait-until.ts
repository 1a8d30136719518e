import { setTimeout as delay } from 'node:timers/promises'

/**
 * Waits until a condition holds, looking every few milliseconds; for what gives no signal to wait for.
 * An error thrown by the condition is passed on at once.
 *
 * @throws {Error} naming `what` when the time is over
 */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  options: { timeoutMs: number; what: string },
): Promise<void> {
  const end = performance.now() + options.timeoutMs
  for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 1.5, 50)) {
    if (await condition()) return
    if (performance.now() > end) throw new Error(`Waited ${options.timeoutMs} ms in vain for ${options.what}`)
    await delay(pauseMs)
  }
}
