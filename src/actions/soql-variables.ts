import type { Issue } from '../kernel/errors.ts'
import { escapeText, quoted } from '../providers/salesforce/soql.ts'
import { stepsOf } from './soql-text.ts'

/** The most issues that one text's tokens make. */
const MAX_ISSUES = 100

const isDate = (text: string): boolean =>
  /^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d))?$/.test(text) &&
  !Number.isNaN(Date.parse(text))

/** A number without an exponent, which SOQL does not know; null for one that has no such form. */
function numberText(value: number): string | null {
  const text = String(value)
  return /^-?\d+(\.\d+)?$/.test(text) ? text : null
}

/** A value outside of quotes; null when it has no literal. */
function literalOf(value: unknown): string | null {
  if (value === null) return 'null'
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return numberText(value)
  if (typeof value !== 'string') return null
  return isDate(value) ? value : quoted(value)
}

/** A value within quotes; null when it has no text. */
function textOf(value: unknown): string | null {
  if (value === null) return ''
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? escapeText(String(value))
    : null
}

/**
 * Puts variables into a SOQL text: within quotes as escaped text, outside of them as a literal of the
 * value's type (a number, true, false, null, a date or a date-time, any other text in quotes). No value can
 * change the statement: what is put in is never read again, and ends no quotes.
 *
 * @param values null: the text has no tokens, and its braces are braces
 * @param maxLength characters that the text may grow to
 * @returns the text, in which a token with an issue is left as it was
 */
export function insertVariables(
  soql: string,
  values: ReadonlyMap<string, unknown> | null,
  path: string,
  maxLength: number,
): { soql: string; issues: Issue[] } {
  if (values === null) return { soql, issues: [] }
  const issues = new Map<string, Issue>()
  const refuse = (message: string): void => {
    if (issues.size < MAX_ISSUES) issues.set(message, { path, message })
  }
  let result = ''
  for (const { kind, text, isInside } of stepsOf(soql, true)) {
    result += kind === 'token' ? (valueFor(text, isInside, values, refuse) ?? text) : text
    if (result.length <= maxLength) continue
    refuse(`must have at most ${maxLength} characters, its variables' values among them`)
    break
  }
  return { soql: result, issues: [...issues.values()] }
}

function valueFor(
  token: string,
  isInside: boolean,
  values: ReadonlyMap<string, unknown>,
  refuse: (message: string) => void,
): string | null {
  const name = token.slice(2, -2).trim()
  const shown = JSON.stringify(name.slice(0, 100))
  if (!values.has(name)) {
    refuse(`names the variable ${shown}, which variables does not hold`)
    return null
  }
  const value = values.get(name)
  const text = isInside ? textOf(value) : literalOf(value)
  if (text === null)
    refuse(
      `has ${shown}, which has no ${isInside ? 'text' : 'literal'}: a list, an object or a number out of range`,
    )
  return text
}
