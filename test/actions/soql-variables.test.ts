import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { statementFault } from '../../src/actions/soql-statement.ts'
import { stepsOf } from '../../src/actions/soql-text.ts'
import { insertVariables } from '../../src/actions/soql-variables.ts'
import { parseSoql } from '../../src/simulator/soql.ts'

const insert = (soql: string, values: Record<string, unknown>) =>
  insertVariables(soql, new Map(Object.entries(values)), '/soql', 100_000)

describe('a value', () => {
  it.each([
    ["N = '{{ v }}'", "O'Brien", "N = 'O\\'Brien'"],
    ["N = '{{v}}'", "x' OR Name != '", "N = 'x\\' OR Name != \\''"],
    ["N = '{{v}}'", "\\' OR 1 = 1", "N = '\\\\\\' OR 1 = 1'"],
    ["N LIKE '%{{v}}%'", 'a\nb"', "N LIKE '%a\\nb\\\"%'"],
    ["N = '{{v}}'", 5, "N = '5'"],
    ["N = '{{v}}'", true, "N = 'true'"],
    ["N = '{{v}}'", null, "N = ''"],
    ['N = {{v}}', 5.25, 'N = 5.25'],
    ['N = {{v}}', -0.5, 'N = -0.5'],
    ['N = {{v}}', false, 'N = false'],
    ['N = {{v}}', null, 'N = null'],
    ['N = {{v}}', '2026-01-31', 'N = 2026-01-31'],
    ['N > {{v}}', '2026-01-31T10:00:00Z', 'N > 2026-01-31T10:00:00Z'],
    ['N > {{v}}', '2026-01-31T10:00:00.5+01:00', 'N > 2026-01-31T10:00:00.5+01:00'],
    ['N = {{v}}', '2026-01-31 OR Name != null', "N = '2026-01-31 OR Name != null'"],
    ['N = {{v}}', "x' OR Name != '", "N = 'x\\' OR Name != \\''"],
    ['N = {{v}}', '{{v}}', "N = '{{v}}'"],
    // A backslash of the text itself takes the brace after it along, so that it escapes nothing of a value.
    ["N = '\\{{v}}'", "' OR 1", "N = '\\{{v}}'"],
    ["N = '\\\\{{v}}'", "' OR 1", "N = '\\\\\\' OR 1'"],
  ])('%s with %j is %s', (soql, v, result) => {
    expect(insert(soql, { v })).toEqual({ soql: result, issues: [] })
  })

  it('can never change what is asked for', () => {
    const value = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom("'", '\\', '"', '{{', '}}', ' OR ', 'x', '\n', '--', ';', ')') }),
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e15, max: 1e15 }),
      fc.boolean(),
      fc.constant(null),
    )
    const template = fc.constantFrom(
      "SELECT Id FROM C WHERE N = '{{ v }}' AND M = 1",
      "SELECT Id FROM C WHERE N = 'a{{v}}b\\\\{{v}}' AND M = 1",
      'SELECT Id FROM C WHERE N = {{v}} AND M = 1',
      "SELECT Id FROM C WHERE N IN ({{v}}, '{{v}}') AND M = 1",
    )
    const shapeOf = (soql: string): unknown =>
      JSON.parse(JSON.stringify(parseSoql(soql), (key, inner: unknown) => (key === 'value' ? '' : inner)))
    fc.assert(
      fc.property(template, value, (soql, v) => {
        const result = insert(soql, { v })
        fc.pre(result.issues.length === 0)
        expect(statementFault(result.soql)).toBeNull()
        const { where } = parseSoql(result.soql)
        if (where?.kind !== 'and') throw new Error('another condition')
        expect(where.conditions).toHaveLength(2)
        const kinds = JSON.stringify(shapeOf(result.soql)).replaceAll('"bare"', '"text"')
        const plain = JSON.stringify(
          shapeOf(soql.replaceAll(/'?[^' ]*\{\{ ?v ?\}\}[^' ]*'/g, "'x'").replaceAll('{{v}}', "'x'")),
        )
        expect(kinds).toBe(plain.replaceAll('"bare"', '"text"'))
      }),
      { numRuns: 500 },
    )
  })

  it('in quotes comes out as it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (v) => {
        fc.pre(v.isWellFormed())
        const { where } = parseSoql(insert("SELECT Id FROM C WHERE N = '{{v}}'", { v }).soql)
        expect(where).toMatchObject({ literals: [{ kind: 'text', value: v }] })
      }),
      { numRuns: 300 },
    )
  })
})

describe('a token', () => {
  it('is an issue when it names nothing, or what has no literal', () => {
    const { soql, issues } = insert(
      "SELECT Id FROM C WHERE A = '{{ a }}' AND B = {{ list }} AND C = {{ big }}",
      {
        list: [1],
        big: 1e300,
      },
    )
    expect(soql).toContain("'{{ a }}'")
    expect(issues.map(({ path }) => path)).toEqual(['/soql', '/soql', '/soql'])
    expect(issues.map(({ message }) => message)).toEqual([
      expect.stringContaining('names the variable "a"'),
      expect.stringContaining('has "list", which has no literal'),
      expect.stringContaining('has "big", which has no literal'),
    ])
  })

  it('is none without variables', () => {
    const soql = "SELECT Id FROM C WHERE A = '{{ a }}'"
    expect(insertVariables(soql, null, '/soql', 1_000)).toEqual({ soql, issues: [] })
  })

  it('cannot make a text grow beyond its bound', () => {
    const { soql, issues } = insertVariables(
      '{{v}}'.repeat(1_000),
      new Map([['v', 'x'.repeat(1_000)]]),
      '/soql',
      5_000,
    )
    expect(soql.length).toBeLessThan(7_000)
    expect(issues).toEqual([
      { path: '/soql', message: "must have at most 5000 characters, its variables' values among them" },
    ])
  })
})

it('a text in steps is the text', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("'", '\\', '{', '}', 'a', ' ') }),
      fc.boolean(),
      (text, withTokens) => {
        expect([...stepsOf(text, withTokens)].map((step) => step.text).join('')).toBe(text)
      },
    ),
  )
})
