import { stepsOf, type SoqlStep } from './soql-text.ts'

/**
 * The most characters of a statement, percent-encoded: it goes out as part of a URL, of which Salesforce
 * takes 16,384 bytes with the headers (facts 6).
 */
export const MAX_SOQL = 14_000

/** Clauses that make a query write: it locks the rows that it finds, or notes that they were looked at. */
const writingClauses: Readonly<Record<string, readonly string[]>> = {
  for: ['update', 'view', 'reference'],
  update: ['tracking', 'viewstat'],
}

/**
 * Why a text is no single SELECT that only reads; null when it is one, as far as that can be told without
 * knowing the org. SOQL can write nothing but by the clauses that are refused here.
 */
export function statementFault(soql: string): string | null {
  if (!soql.isWellFormed()) return 'must be well-formed Unicode'
  if (encodeURIComponent(soql).length > MAX_SOQL)
    return `must have at most ${MAX_SOQL} characters, percent-encoded as it goes out`
  const words: string[] = []
  let last: SoqlStep | null = null
  for (const step of stepsOf(soql, false)) {
    if (step.kind === 'word') words.push(step.text.toLowerCase())
    const fault = step.kind === 'mark' ? markFault(last?.text ?? '', step.text) : null
    if (fault !== null) return fault
    last = step
  }
  const isOpen = last !== null && (last.text === "'" ? !last.isInside : last.isInside)
  if (isOpen) return 'has a quoted text without its end'
  if (words[0] !== 'select' || !/^\s*select/i.test(soql))
    return 'must begin with SELECT: only queries are run'
  return clauseFault(words)
}

function markFault(before: string, text: string): string | null {
  if (text === ';') return 'must be one statement, without a semicolon'
  if ((before === '/' && (text === '*' || text === '/')) || (before === '-' && text === '-'))
    return 'must have no comments'
  if (!/^[\x21-\x7e]+$/.test(text)) return 'must have no other characters than ASCII outside of quoted texts'
  return null
}

function clauseFault(words: readonly string[]): string | null {
  for (const [index, word] of words.entries()) {
    const next = words[index + 1]
    if (next !== undefined && writingClauses[word]?.includes(next) === true)
      return `must not have ${word.toUpperCase()} ${next.toUpperCase()}: only reading is allowed`
  }
  return null
}
