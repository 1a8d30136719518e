/** A mistake in how a command was called: one line on standard error, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** For commands that take none: everything is set by the environment. */
export function refuseArguments(command: string, args: string[]): void {
  const [first] = args
  if (first !== undefined) throw new UsageError(`writeback ${command} takes no arguments, not ${first}.`)
}

/** Resolves with the reason to stop: SIGTERM, SIGINT, or what `raise` was called with first. */
export function stopSignal(): { raised: Promise<string>; raise: (reason: string) => void } {
  const { promise, resolve } = Promise.withResolvers<string>()
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => resolve(name))
  return { raised: promise, raise: resolve }
}
