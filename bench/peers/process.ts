/** How often a process without a channel to its parent looks whether that is still there, in milliseconds. */
const PARENT_LOOK_MS = 1_000

/** Prints a line for the one that started this process. */
export function tell(line: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

/** A variable that has to be there. */
export function required(name: string): string {
  const value = process.env[name]
  if (value === undefined || value === '') throw new Error(`${name} is not set`)
  return value
}

/** Which part of a peer this process is. */
export const role = process.env['ROLE'] ?? 'all'

/** A whole number from the environment. */
export function numberFrom(name: string, fallback: number): number {
  const value = Number(process.env[name] ?? fallback)
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name} is not a whole number above 0`)
  return value
}

/** Ends the process on SIGTERM or SIGINT, or once the one that started it is gone. */
export function endWith(stop: () => Promise<unknown>): void {
  let isEnding = false
  const end = (): void => {
    if (isEnding) return
    isEnding = true
    stop().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`${String(error)}\n`)
        process.exit(1)
      },
    )
  }
  process.once('SIGTERM', end)
  process.once('SIGINT', end)
  process.once('disconnect', end)
  process.channel?.unref()
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent) end()
  }, PARENT_LOOK_MS).unref()
}
