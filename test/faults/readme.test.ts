import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { cannedAnswers, cannedRecordErrors } from '../../src/simulator/canned-answers.ts'
import { faultActionTypes } from '../../src/simulator/faults.ts'
import { defaultSettings } from '../../src/simulator/settings.ts'

interface Row {
  line: number
  knob: string
  test: string
}

const text = readFileSync(new URL('README.md', import.meta.url), 'utf8')

/** The rows of all tables, without their heads. */
const rows = text.split('\n').flatMap((line, index): Row[] => {
  if (!line.startsWith('|')) return []
  const cells = line.split('|').map((cell) => cell.trim())
  const [, knob, , , , test] = cells
  if (knob === undefined || test === undefined || knob === 'knob' || knob.startsWith('---')) return []
  return [{ line: index + 1, knob, test }]
})

const codeIn = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)

const sources = new Map<string, string | null>()
/** The text of a test file; null when there is none. */
function sourceOf(file: string): string | null {
  let source = sources.get(file)
  if (source !== undefined) return source
  try {
    source = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')
  } catch {
    source = null
  }
  sources.set(file, source)
  return source
}

const literal = /(['"`])((?:(?!\1)[^\\\n]|\\.)*)\1/g

/** Every string of a source text, and those that are titles: the first argument of a call, before a function. */
function stringsOf(source: string): { all: Set<string>; titles: Set<string> } {
  const all = new Set<string>()
  const titles = new Set<string>()
  for (const match of source.matchAll(literal)) {
    const value = match[2]!.replaceAll(/\\(.)/g, '$1')
    all.add(value)
    const before = source.slice(0, match.index).trimEnd()
    const after = source.slice(match.index + match[0].length)
    const isOfTest = /\b(?:it|test)\($/.test(before) || /\)\($/.test(before)
    if (isOfTest && /^,\s*(?:async\s*)?\(/.test(after)) titles.add(value)
  }
  return { all, titles }
}

/** What is wrong with the tests that a cell names. */
function wrongWith(cell: string): string[] {
  const named = [...cell.matchAll(/`([^`]+\.test\.ts)`:((?:(?!`[^`]+\.test\.ts`).)*)/g)]
  if (named.length === 0) return ['names no test']
  return named.flatMap(([, file, rest]) => {
    const source = sourceOf(file!)
    if (source === null) return [`there is no ${file!}`]
    const { all, titles } = stringsOf(source)
    const cases = [...rest!.matchAll(/\(“[^)]*”\)/g)].flatMap((match) => quotedIn(match[0]))
    const tests = quotedIn(rest!.replaceAll(/ \(“[^)]*”\)/g, ''))
    return [
      ...(tests.length === 0 ? [`names no test of ${file!}`] : []),
      ...tests.filter((title) => !titles.has(title)).map((title) => `${file!} has no test “${title}”`),
      ...cases.filter((label) => !all.has(label)).map((label) => `${file!} has no case “${label}”`),
    ]
  })
}

const quotedIn = (cell: string): string[] => [...cell.matchAll(/“([^”]*)”/g)].map((match) => match[1]!)

describe('the list of faults', () => {
  it('has at least 40 rows, no two of one knob', () => {
    expect(rows.length).toBeGreaterThanOrEqual(40)
    const knobs = rows.map((row) => row.knob)
    expect(knobs.filter((knob, index) => knobs.indexOf(knob) !== index)).toEqual([])
  })

  it('names tests that are there', () => {
    expect(
      rows.flatMap(({ line, test }) => wrongWith(test).map((wrong) => `line ${line}: ${wrong}`)),
    ).toEqual([])
  })

  it('names everything that the simulator can do, as a knob', () => {
    const named = new Set(rows.flatMap((row) => codeIn(row.knob)))
    const known = [
      ...faultActionTypes,
      ...Object.keys(cannedAnswers),
      ...Object.keys(cannedRecordErrors),
      ...Object.keys(defaultSettings),
    ]
    expect(known.length).toBeGreaterThan(40)
    expect(known.filter((name) => !named.has(name))).toEqual([])
  })

  it('tells a test that is not there from one that is', () => {
    const one = '`faults/readme.test.ts`: “names tests that are there”'
    expect(wrongWith(one)).toEqual([])
    expect(wrongWith(one.replace('that are', 'that were'))).toHaveLength(1)
    expect(wrongWith(`${one} (“no ${rows.length} cases”)`)).toHaveLength(1)
    expect(wrongWith(one.replace('readme', 'nothing'))).toEqual(['there is no faults/nothing.test.ts'])
    expect(wrongWith('“names tests that are there”')).toEqual(['names no test'])
  })
})
