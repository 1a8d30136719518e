import { isDeepStrictEqual } from 'node:util'
import { pointerTo } from '../../kernel/json-pointer.ts'
import type { Wanted } from './desired.ts'

/** One field that is to change. */
export type FieldChange =
  | { path: string; old: unknown; new: unknown }
  /** What holds a variable is not shown: it may be a secret. */
  | { path: string; isHidden: true }

/**
 * What has to change in `current` so that it is as `wanted` says, field by field; undefined stands for what is
 * not there.
 *
 * @param where the entry that `wanted` is of, at `base` (a JSON pointer within it)
 */
export function diffFields(
  current: unknown,
  wanted: unknown,
  where: Wanted<unknown>,
  base: string[],
): FieldChange[] {
  const old = leavesOf(current)
  const next = leavesOf(wanted)
  const keys = [...new Set([...old.keys(), ...next.keys()])]
  return keys.flatMap((key): FieldChange[] => {
    const [before, after] = [old.get(key), next.get(key)]
    if (
      isDeepStrictEqual(before, after) ||
      isOutline(key, before ?? after, before === undefined ? old : next)
    )
      return []
    const parts = [...base, ...(JSON.parse(key) as string[])]
    const path = parts.join('.')
    return holdsVariable(where, parts) ? [{ path, isHidden: true }] : [{ path, old: before, new: after }]
  })
}

/** The values of a tree by their paths; lists, and objects without members, are values. */
function leavesOf(
  value: unknown,
  path: string[] = [],
  leaves = new Map<string, unknown>(),
): Map<string, unknown> {
  const members =
    typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : []
  if (members.length > 0) for (const [name, member] of members) leavesOf(member, [...path, name], leaves)
  else if (value !== undefined) leaves.set(JSON.stringify(path), value)
  return leaves
}

/** Whether a value without members only stands where the other side has some, which are told of by themselves. */
const isOutline = (key: string, value: unknown, others: ReadonlyMap<string, unknown>): boolean =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  [...others.keys()].some((other) => other.startsWith(key === '[]' ? '["' : `${key.slice(0, -1)},`))

function holdsVariable({ source, pointer }: Wanted<unknown>, parts: string[]): boolean {
  const at = parts.reduce((base, part) => pointerTo(base, part), pointer)
  return [...source.substituted].some((one) => one === at || one.startsWith(`${at}/`))
}
