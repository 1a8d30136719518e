import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  expandVariables,
  MAX_INSERTED,
  MAX_VARIABLES,
  readVariables,
} from '../../../src/ingest/rules/variables.ts'
import type { JsonObject } from '../../../src/ingest/rules/json-values.ts'
import { anyJson, anyName, anyRecord, textOf } from './arbitrary-json.ts'

const values: JsonObject = {
  text: 'Ngata',
  zero: 0,
  half: 1.5,
  yes: true,
  none: null,
  list: [1, 'a'],
  object: { a: 1 },
  token: '{{text}}',
  dollars: '$& $1 $$',
  'input.company name': 'Acme',
}

function expand(record: JsonObject, variables: unknown = values) {
  const read = readVariables(variables)
  expect(read.issues).toEqual([])
  return expandVariables(record, read.variables)
}
const expandOne = (text: string): unknown => expand({ Field: text }).record['Field']

describe('variables in records', () => {
  it.each<[string, unknown]>([
    ['{{text}}', 'Ngata'],
    ['{{  text\n}}', 'Ngata'],
    ['{{zero}}', 0],
    ['{{half}}', 1.5],
    ['{{yes}}', true],
    ['{{none}}', null],
    ['{{list}}', [1, 'a']],
    ['{{object}}', { a: 1 }],
    ['{{input.company name}}', 'Acme'],
    ['Dear {{text}}!', 'Dear Ngata!'],
    ['{{zero}}/{{ half }}/{{yes}}', '0/1.5/true'],
    ['a{{none}}b', 'ab'],
    [' {{zero}}', ' 0'],
    ['{{zero}}{{zero}}', '00'],
    ['{{{zero}}}', '{0}'],
    ['{{dollars}}!', '$& $1 $$!'],
  ])('makes of %j %j', (text, expected) => {
    const { record, issues } = expand({ Field: text })
    expect(issues).toEqual([])
    expect(record).toEqual({ Field: expected })
  })

  it.each(['', '{{', '}}', '{{ }}', '{{}}', '{ {text} }', '{text}', '{{text}', '{{a{b}}', '{{text} }'])(
    'leaves %j as text',
    (text) => {
      expect(expand({ Field: text })).toMatchObject({ record: { Field: text }, issues: [] })
    },
  )

  it('does not look again at what a variable put in', () => {
    expect(expandOne('{{token}}')).toBe('{{text}}')
    expect(expandOne('x {{token}}')).toBe('x {{text}}')
    expect(expand({ A: '{{o}}' }, { o: { B: '{{o}}' } }).record).toEqual({ A: { B: '{{o}}' } })
  })

  it('reaches values at any depth and never names', () => {
    const record = {
      '{{text}}': '{{text}}',
      Account: { Ext__c: '{{zero}}', Tags: ['{{yes}}', [1, '{{none}}']] },
    }
    expect(expand(record).record).toEqual({
      '{{text}}': 'Ngata',
      Account: { Ext__c: 0, Tags: [true, [1, null]] },
    })
  })

  it('names each unknown variable once, where it is', () => {
    const { record, issues } = expand({
      A: '{{lastNam}} {{lastNam}} {{other}}',
      'b/c': { D: ['{{text}}', '{{lastNam}}'] },
    })
    expect(issues).toEqual([
      { path: '/record/A', message: 'names the variable "lastNam", which variables does not hold' },
      { path: '/record/A', message: 'names the variable "other", which variables does not hold' },
      { path: '/record/b~1c/D/1', message: 'names the variable "lastNam", which variables does not hold' },
    ])
    expect(record).toMatchObject({ A: '{{lastNam}} {{lastNam}} {{other}}' })
  })

  it('says where the record was', () => {
    const { variables } = readVariables({})
    expect(expandVariables({ A: '{{x}}' }, variables, '/batch/3/record').issues[0]?.path).toBe(
      '/batch/3/record/A',
    )
  })

  it('refuses a list or an object within text', () => {
    for (const name of ['list', 'object']) {
      const { issues } = expand({ A: `x{{${name}}}` })
      expect(issues.map((issue) => issue.path)).toEqual(['/record/A'])
      expect(issues[0]?.message).toContain(`"${name}"`)
    }
  })

  it('takes prototype names as names', () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      expect(expand({ A: `{{${name}}}` }).issues).toHaveLength(1)
      const own = JSON.parse(`{"${name}": 5}`) as JsonObject
      expect(expand({ A: `{{${name}}}` }, own)).toMatchObject({ record: { A: 5 }, issues: [] })
    }
    const record = JSON.parse('{"__proto__": "{{text}}"}') as JsonObject
    expect(textOf(expand(record).record)).toBe('{"__proto__":"Ngata"}')
  })

  it('bounds what a short record with a long variable can grow to', () => {
    const { variables } = readVariables({ long: 'x'.repeat(1000), big: ['y'.repeat(1000)] })
    const record = { A: '{{long}}'.repeat(10), B: '{{big}}', C: '{{long}}' }
    const { issues, inserted, record: expanded } = expandVariables(record, variables, '/record', 3500)
    expect(issues.map((issue) => issue.path)).toEqual(['/record/A'])
    expect(expanded).toMatchObject({ B: '{{big}}', C: '{{long}}' })
    expect(inserted).toBe(3000)
    expect(String(expanded['A'])).toHaveLength(3000 + 7 * '{{long}}'.length)
    const roomy = expandVariables(record, variables)
    expect(roomy.issues).toEqual([])
    expect(roomy.inserted).toBeLessThan(MAX_INSERTED)
  })

  it('makes a bounded number of issues of any number of tokens', () => {
    const text = Array.from({ length: 5000 }, (_, index) => `{{v${index}}}`).join('')
    expect(expand({ A: text }).issues).toHaveLength(100)
    expect(expand({ A: `{{${'n'.repeat(5000)}}}` }).issues[0]?.message.length).toBeLessThan(300)
  })

  it('leaves braces alone in a write that has no variables', () => {
    const record = { Body: 'Hello {{Recipient.Name}}' }
    const { variables, issues } = readVariables(undefined)
    expect(issues).toEqual([])
    expect(expandVariables(record, variables)).toEqual({ record, issues: [], inserted: 0 })
  })

  it('never throws, keeps every name, and changes nothing without tokens', () => {
    fc.assert(
      fc.property(anyRecord, anyJson, (record, variables) => {
        const before = textOf(record)
        const expanded = expandVariables(record, readVariables(variables).variables)
        expect(textOf(record)).toBe(before)
        expect(Object.keys(expanded.record)).toEqual(Object.keys(record))
        if (!before.includes('{{')) expect(textOf(expanded.record)).toBe(before)
      }),
    )
  })

  it('gives every variable back with its type, whatever its name', () => {
    const name = anyName.filter((text) => text.trim() !== '' && !/[{}]/.test(text))
    fc.assert(
      fc.property(name, fc.jsonValue(), fc.constantFrom('', ' ', '\t'), (raw, value, space) => {
        const key = raw.trim()
        const read = readVariables(JSON.parse(JSON.stringify(Object.fromEntries([[key, value]]))))
        const { record, issues } = expandVariables({ A: `{{${space}${key}${space}}}` }, read.variables)
        expect(issues).toEqual([])
        expect(textOf(record['A'])).toBe(textOf(value))
      }),
    )
  })
})

describe('the variables themselves', () => {
  it.each([null, [], 'x', 5, true])('must be an object, not %j', (variables) => {
    expect(readVariables(variables).issues.map((issue) => issue.path)).toEqual(['/variables'])
  })

  it('must be JSON values', () => {
    const { issues } = readVariables({
      a: JSON.parse('1e400') as unknown,
      b: [undefined],
      c: 1n,
      'd/e': { f: () => 1 },
    })
    expect(issues.map((issue) => issue.path)).toEqual([
      '/variables/a',
      '/variables/b',
      '/variables/c',
      '/variables/d~1e',
    ])
  })

  it(`are ${MAX_VARIABLES} at most`, () => {
    const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`v${i}`, i]))
    expect(readVariables(many(MAX_VARIABLES)).issues).toEqual([])
    expect(readVariables(many(MAX_VARIABLES + 1)).issues.map((issue) => issue.path)).toEqual(['/variables'])
  })
})
