import type { Output, Style } from '../output.ts'
import { tidy } from '../text.ts'
import type { FieldChange } from './diff.ts'
import type { Change } from './plan.ts'

const signs: Record<Change['action'], [sign: string, style: Style]> = {
  create: ['+', 'green'],
  change: ['~', 'yellow'],
  delete: ['-', 'red'],
}

const nameOf = ({ project, kind, name }: Change): string =>
  tidy(kind === 'project' ? `project ${name}` : `${project}: ${kind} ${name}`)

/** One difference: a line, and one for each field that changes. */
export function showChange({ line, paint }: Output, change: Change): void {
  const [sign, style] = signs[change.action]
  line(`${paint(style, sign)} ${nameOf(change)}`)
  for (const field of change.fields) line(`    ${tidy(sayField(field))}`)
}

function sayField(field: FieldChange): string {
  if ('isHidden' in field) return `${field.path}: (hidden)`
  return `${field.path}: ${sayValue(field.old)} → ${sayValue(field.new)}`
}

const sayValue = (value: unknown): string => (value === undefined ? '(none)' : JSON.stringify(value))

/** What was done, and what was not. */
export function showDone(
  output: Output,
  changes: readonly Change[],
  done: ReadonlyMap<Change, unknown>,
  isCheck: boolean,
): void {
  if (changes.length === 0) return
  const count = (action: Change['action'], of: Iterable<Change>): number =>
    [...of].filter((change) => change.action === action).length
  const of = isCheck ? changes : [...done.keys()]
  const words = isCheck ? ['to create', 'to change', 'to delete'] : ['created', 'changed', 'deleted']
  const counts = (['create', 'change', 'delete'] as const).map(
    (action, index) => `${count(action, of)} ${words[index] ?? ''}`,
  )
  output.line(counts.join(', '))
  const left = isCheck ? [] : changes.filter((change) => !done.has(change))
  if (left.length > 0)
    output.line(`not done: ${left.map((change) => `${change.action} ${nameOf(change)}`).join('; ')}`)
}

/** The same for programs. */
export function toJson(
  changes: readonly Change[],
  done: ReadonlyMap<Change, string | null>,
  notes: readonly string[],
  isCheck: boolean,
): object {
  return {
    changes: changes.map((change) => {
      const { action, kind, project, name, fields } = change
      const secret = done.get(change) ?? null
      return {
        action,
        kind,
        project,
        name,
        fields,
        isDone: done.has(change),
        ...(secret === null ? {} : { secret }),
      }
    }),
    notes,
    isCheck,
  }
}
