/** One step through a SOQL text. */
export interface SoqlStep {
  /**
   * `quoted`: one character of a quoted text, its escape included, or one of the quotes; `token`: a variable's
   * place, `{{name}}`; `word`: a name, a keyword or a number; `mark`: any other character.
   */
  kind: 'quoted' | 'token' | 'word' | 'mark' | 'space'
  text: string
  /** Whether it stands within quotes; the opening one does not, the closing one does. */
  isInside: boolean
}

const token = /\{\{[^{}]*\}\}/y
const word = /[A-Za-z0-9_]+/y
const space = /[ \t\r\n]+/y

const match = (pattern: RegExp, text: string, at: number): string | null => {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0] ?? null
}

/**
 * Takes a SOQL text apart, as far as it takes to know what is quoted. Within quotes a backslash goes with
 * the character after it, so that no place of a variable is seen in an escape.
 *
 * @param withTokens whether variables have their places in it; in a text that is as it will be sent, braces are braces
 */
export function* stepsOf(text: string, withTokens: boolean): Generator<SoqlStep> {
  let isInside = false
  for (let at = 0; at < text.length;) {
    const step = (withTokens ? tokenAt(text, at, isInside) : null) ?? stepAt(text, at, isInside)
    if (step.text === "'") isInside = !isInside
    at += step.text.length
    yield step
  }
}

function tokenAt(text: string, at: number, isInside: boolean): SoqlStep | null {
  const found = match(token, text, at)
  return found === null ? null : { kind: 'token', text: found, isInside }
}

function stepAt(text: string, at: number, isInside: boolean): SoqlStep {
  const character = text.charAt(at)
  if (character === "'") return { kind: 'quoted', text: character, isInside }
  if (isInside)
    return { kind: 'quoted', text: character === '\\' ? text.slice(at, at + 2) : character, isInside }
  const found = match(word, text, at)
  if (found !== null) return { kind: 'word', text: found, isInside }
  const blank = match(space, text, at)
  return blank === null
    ? { kind: 'mark', text: character, isInside }
    : { kind: 'space', text: blank, isInside }
}
