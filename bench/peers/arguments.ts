import { parseArgs } from 'node:util'

/** Reads `--name value` arguments, all of them needed. */
export function readArguments<Name extends string>(names: readonly Name[]): Record<Name, string> {
  const { values } = parseArgs({
    options: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
  })
  const read = names.map((name) => {
    const value = values[name]
    if (typeof value !== 'string') throw new Error(`--${name} is needed`)
    return [name, value] as const
  })
  return Object.fromEntries(read) as Record<Name, string>
}

/** A whole number above 0. */
export function wholeNumber(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} is not a whole number above 0`)
  return value
}
