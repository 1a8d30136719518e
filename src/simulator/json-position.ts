/**
 * Where a value stands inside a JSON text: its offset, or -1. The text is known to be valid JSON, so
 * this only has to skip values, not to check them.
 */
export function positionIn(text: string, path: readonly (string | number)[]): number {
  let at = skipSpace(text, 0)
  for (const step of path) {
    at = typeof step === 'number' ? elementAt(text, at, step) : memberAt(text, at, step)
    if (at < 0) return -1
  }
  return at
}

/** Line and column, both from 1, of an offset. */
export function lineAndColumn(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, Math.max(offset, 0))
  return { line: before.split('\n').length, column: before.length - before.lastIndexOf('\n') }
}

function elementAt(text: string, open: number, index: number): number {
  let at = skipSpace(text, open + 1)
  for (let i = 0; text[at] !== ']'; i++) {
    if (i === index) return at
    at = skipSpace(text, skipValue(text, at))
    if (text[at] === ',') at = skipSpace(text, at + 1)
  }
  return -1
}

function memberAt(text: string, open: number, name: string): number {
  let at = skipSpace(text, open + 1)
  while (text[at] !== '}') {
    const end = skipValue(text, at)
    const key: unknown = JSON.parse(text.slice(at, end))
    at = skipSpace(text, skipSpace(text, end) + 1)
    if (key === name) return at
    at = skipSpace(text, skipValue(text, at))
    if (text[at] === ',') at = skipSpace(text, at + 1)
  }
  return -1
}

function skipValue(text: string, start: number): number {
  const first = text[start]
  if (first === '"') return skipString(text, start)
  if (first !== '{' && first !== '[') {
    let at = start
    while (at < text.length && !/[\s,\]}]/.test(text.charAt(at))) at++
    return at
  }
  let depth = 0
  for (let at = start; at < text.length; at++) {
    const char = text[at]
    if (char === '"') at = skipString(text, at) - 1
    else if (char === '{' || char === '[') depth++
    else if ((char === '}' || char === ']') && --depth === 0) return at + 1
  }
  return text.length
}

function skipString(text: string, start: number): number {
  let at = start + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

function skipSpace(text: string, start: number): number {
  let at = start
  while (/\s/.test(text.charAt(at))) at++
  return at
}
