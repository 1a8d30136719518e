import type { Issue } from '../../kernel/errors.ts'
import { pointerTo } from '../../kernel/json-pointer.ts'
import { foldCase, isJsonObject, quoted, type JsonObject } from './json-values.ts'

/** The most issues of one interaction that are listed. */
const MAX_ISSUES = 100

/**
 * What is wrong with an engagement interaction beyond its fields' own values (facts 11): an end before its
 * start, and custom fields that are given twice. What is not of the right kind is left to the schema.
 *
 * @param path JSON pointer of the interaction
 */
export function findInteractionIssues(interaction: JsonObject, path: string): Issue[] {
  const below = ['engagementAttendees', 'engagementTopics'].flatMap((name) =>
    listOf(interaction[name]).flatMap((one, index) => levelIssues(one, `${path}/${name}/${index}`)),
  )
  return [...levelIssues(interaction, path), ...below].slice(0, MAX_ISSUES)
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])

function levelIssues(level: unknown, path: string): Issue[] {
  if (!isJsonObject(level)) return []
  const issues: Issue[] = []
  const { startDateTime, endDateTime } = level
  if (timeOf(endDateTime) < timeOf(startDateTime))
    issues.push({ path: `${path}/endDateTime`, message: 'must not be before startDateTime' })
  const places = new Map<string, number>()
  listOf(level['customFieldsList']).forEach((entry, index) => {
    const key = isJsonObject(entry) ? entry['key'] : undefined
    if (typeof key !== 'string') return
    const first = places.get(foldCase(key))
    if (first === undefined) places.set(foldCase(key), index)
    else
      issues.push({
        path: pointerTo(`${path}/customFieldsList/${index}`, 'key'),
        message: `gives ${quoted(key)} a second time: also at ${path}/customFieldsList/${first}`,
      })
  })
  return issues
}

/** Not a number for what is no time, which is neither before nor after any. */
const timeOf = (value: unknown): number => (typeof value === 'string' ? Date.parse(value) : NaN)
