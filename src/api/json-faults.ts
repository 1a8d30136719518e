import type { Issue } from '../kernel/errors.ts'
import { pointerTo } from '../kernel/json-pointer.ts'

/** The index just after the string that opens at `start`, or the end of the text when it never closes. */
export function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (text.charCodeAt(end - 1 - escapes) === 0x5c) escapes++
    if (escapes % 2 === 0) return end + 1
  }
  return text.length
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39
/** Digits, sign, point, and the letter of an exponent. */
const isOfNumber = (code: number): boolean =>
  isDigit(code) || code === 0x2d || code === 0x2b || code === 0x2e || code === 0x65 || code === 0x45

/** The index just after the number that begins at `start`. */
export function endOfNumber(text: string, start: number): number {
  let end = start + 1
  while (end < text.length && isOfNumber(text.charCodeAt(end))) end++
  return end
}

/** A decimal number's significant digits and the place of its point: two texts of one number give the same. */
function valueOf(number: string): string {
  const [, whole = '', fraction = '', power = '0'] =
    /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number) ?? []
  const digits = whole + fraction
  let first = 0
  while (first < digits.length && digits[first] === '0') first++
  // by hand: a pattern would look at a run of zeros once for each of them
  let end = digits.length
  while (end > first && digits[end - 1] === '0') end--
  return first === end ? '0' : `${digits.slice(first, end)}e${Number(power) + whole.length - first}`
}

/** Fewer characters than this, and no exponent, and a double has a place for every digit. */
const ALWAYS_KEPT = 15

/**
 * Whether the number that JSON.parse makes of a text is the number that the text says: an id of 17
 * digits is not, and neither is 1e400.
 *
 * @param number the text of a JSON number
 */
export function isKept(number: string): boolean {
  if (number.length <= ALWAYS_KEPT && !/[eE]/.test(number)) return true
  const value = Number(number)
  return Number.isFinite(value) && valueOf(number) === valueOf(String(value))
}

const CHANGED = 'is a number with more digits than can be kept: send it as text, or with fewer digits'
const TWICE = 'is given twice'

/**
 * Names what JSON.parse changes in silence: numbers that lose digits, and members given twice, of which
 * it keeps the last.
 *
 * @param text valid JSON, its depth bounded
 * @param maxIssues the most that are named
 */
export function findSilentChanges(text: string, maxIssues: number): Issue[] {
  const issues: Issue[] = []
  let at = 0
  const skipTo = (isWanted: (code: number) => boolean): number => {
    while (at < text.length && !isWanted(text.charCodeAt(at))) at++
    return text.charCodeAt(at)
  }
  const add = (path: string, message: string): void => {
    if (issues.length < maxIssues) issues.push({ path, message })
  }

  function readValue(path: string): void {
    const code = skipTo((one) => one > 0x20 && one !== 0x2c && one !== 0x3a)
    if (code === 0x7b) readObject(path)
    else if (code === 0x5b) readList(path)
    else if (code === 0x22) at = endOfString(text, at)
    else if (isDigit(code) || code === 0x2d) readNumber(path)
    else at += text.startsWith('false', at) ? 5 : 4
  }

  function readNumber(path: string): void {
    const end = endOfNumber(text, at)
    if (!isKept(text.slice(at, end))) add(path, CHANGED)
    at = end
  }

  function readObject(path: string): void {
    const seen = new Set<string>()
    at++
    while (skipTo((code) => code === 0x22 || code === 0x7d) === 0x22) {
      const end = endOfString(text, at)
      const name = JSON.parse(text.slice(at, end)) as string
      at = end
      const place = pointerTo(path, name.toWellFormed().replaceAll('\0', '\uFFFD'))
      if (seen.has(name)) add(place, TWICE)
      seen.add(name)
      readValue(place)
    }
    at++
  }

  function readList(path: string): void {
    at++
    const isEntry = (code: number): boolean => code > 0x20 && code !== 0x2c
    for (let index = 0; skipTo(isEntry) !== 0x5d; index++) readValue(pointerTo(path, index))
    at++
  }

  readValue('')
  return issues
}
