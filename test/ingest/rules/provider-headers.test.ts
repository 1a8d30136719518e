import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  duplicateFlagsOf,
  MAX_HEADER_VALUE,
  MAX_HEADERS,
  readHeaders,
  spellDuplicateFlags,
} from '../../../src/ingest/rules/provider-headers.ts'
import { anyJson } from './arbitrary-json.ts'

const DUPLICATE = 'Sforce-Duplicate-Rule-Header'

const valueOf = (key: string, value: unknown): string | undefined =>
  readHeaders([{ key, value }]).headers[0]?.value
const pathsOf = (headers: unknown): string[] => readHeaders(headers).issues.map((issue) => issue.path)
const messageOf = (headers: unknown): string => readHeaders(headers).issues[0]?.message ?? ''

describe('headers for the provider', () => {
  it('are none when absent', () => {
    expect(readHeaders(undefined)).toEqual({ headers: [], issues: [] })
    expect(readHeaders([])).toEqual({ headers: [], issues: [] })
  })

  it.each([
    ['sforce-auto-assign', 'true', 'Sforce-Auto-Assign', 'TRUE'],
    ['SFORCE-AUTO-ASSIGN', ' False ', 'Sforce-Auto-Assign', 'FALSE'],
    ['Sforce-Auto-Assign', '001RM000003oLru', 'Sforce-Auto-Assign', '001RM000003oLruYAE'],
    ['Sforce-Auto-Assign', '001RM000003oLruYAE', 'Sforce-Auto-Assign', '001RM000003oLruYAE'],
    [DUPLICATE, 'allowSave=true', DUPLICATE, 'allowSave=true'],
    [DUPLICATE, 'allowSave=true;', DUPLICATE, 'allowSave=true'],
    [
      DUPLICATE,
      'RUNASCURRENTUSER = TRUE;allowsave=False ; includeRecordDetails=true',
      DUPLICATE,
      'allowSave=false; includeRecordDetails=true; runAsCurrentUser=true',
    ],
    ['sforce-mru', 'UPDATEMRU=FALSE', 'Sforce-Mru', 'updateMru=false'],
    ['Sforce-Call-Options', 'client=My.App/1', 'Sforce-Call-Options', 'client=My.App/1'],
    [
      'Sforce-Call-Options',
      'defaultNamespace=battle; client=a',
      'Sforce-Call-Options',
      'client=a, defaultNamespace=battle',
    ],
    ['X-SFDC-PackageVersion-My_Ns1', '1.20', 'x-sfdc-packageversion-my_ns1', '1.20'],
  ])('takes %s: %s in one spelling', (key, value, spelledKey, spelledValue) => {
    expect(readHeaders([{ key, value }])).toEqual({
      headers: [{ key: spelledKey, value: spelledValue }],
      issues: [],
    })
  })

  it.each([
    ['Sforce-Auto-Assign', 'yes'],
    ['Sforce-Auto-Assign', ''],
    ['Sforce-Auto-Assign', '001RM000003oLruYAX'],
    [DUPLICATE, ''],
    [DUPLICATE, ';'],
    [DUPLICATE, 'allowSave'],
    [DUPLICATE, 'allowSave=1'],
    [DUPLICATE, 'allowSave=true=true'],
    [DUPLICATE, 'allowSave=true; allowsave=true'],
    [DUPLICATE, 'allowSave=true; constructor=true'],
    ['Sforce-Mru', 'true'],
    ['Sforce-Call-Options', 'client='],
    ['Sforce-Call-Options', 'client=a b'],
    ['Sforce-Call-Options', 'defaultNamespace=a__b'],
    ['x-sfdc-packageversion-ns', '1'],
    ['x-sfdc-packageversion-ns', '1.2.3'],
    ['x-sfdc-packageversion-ns', '01.2'],
    ['Sforce-Mru', 'updateMru=true\r\nHost: elsewhere'],
    ['Sforce-Mru', 'updateMru=true\n'],
    ['Sforce-Mru', 'updateMru=tr\0ue'],
    ['Sforce-Mru', 'updateMru=true\u00a0'],
    ['Sforce-Call-Options', 'client=日本'],
    ['Sforce-Call-Options', `client=${'a'.repeat(MAX_HEADER_VALUE)}`],
    ['Sforce-Mru', 7],
    ['Sforce-Mru', null],
    ['Sforce-Mru', undefined],
  ])('refuses the value of %s: %j', (key, value) => {
    expect(valueOf(key, value)).toBeUndefined()
    expect(pathsOf([{ key, value }])).toEqual(['/headers/0/value'])
  })

  it('says why a value cannot be a header at all', () => {
    expect(messageOf([{ key: 'Sforce-Mru', value: 'a\nb' }])).toContain('line breaks')
    expect(messageOf([{ key: 'Sforce-Mru', value: 'é' }])).toContain('ASCII')
    expect(messageOf([{ key: 'Sforce-Mru', value: 'a'.repeat(2000) }])).toContain('1024')
  })

  it.each([
    'Authorization',
    'Content-Type',
    'Idempotency-Key',
    'Sforce-Query-Options',
    'X-PrettyPrint',
    '__proto__',
    'constructor',
    '',
    'Sforce-Mru ',
    'Sforce-Mru\r\nHost',
    'x-sfdc-packageversion-',
    'x-sfdc-packageversion-a__b',
    'x-sfdc-packageversion-sixteencharacter',
  ])('refuses the header %j by name and lists those allowed', (key) => {
    const { headers, issues } = readHeaders([{ key, value: 'TRUE' }])
    expect(headers).toEqual([])
    expect(issues).toHaveLength(1)
    expect(issues[0]?.path).toBe('/headers/0/key')
    expect(issues[0]?.message).toContain(JSON.stringify(key))
    expect(issues[0]?.message).toContain('Sforce-Auto-Assign, Sforce-Duplicate-Rule-Header, Sforce-Mru')
  })

  it.each(['If-Match', 'if-none-match', 'If-Modified-Since', 'IF-UNMODIFIED-SINCE'])(
    'refuses %s because a group cannot carry it',
    (key) => {
      expect(messageOf([{ key, value: 'x' }])).toContain('cannot travel in a group')
    },
  )

  it.each([
    [{}, ['/headers']],
    ['x', ['/headers']],
    [null, ['/headers']],
    [['x'], ['/headers/0']],
    [[null], ['/headers/0']],
    [[[]], ['/headers/0']],
    [[{}], ['/headers/0/key', '/headers/0/value']],
    [[{ key: 1, value: 'x' }], ['/headers/0/key']],
    [[{ key: 'nope', value: 1 }], ['/headers/0/key', '/headers/0/value']],
    [[{ key: 'Sforce-Mru', value: 'updateMru=true', 'a/b': 1 }], ['/headers/0/a~1b']],
  ])('names each wrong part of %j', (headers, paths) => {
    expect(pathsOf(headers)).toEqual(paths)
  })

  it('refuses a header given twice, in any letter case and whatever its value', () => {
    const twice = [
      { key: 'Sforce-Mru', value: 'updateMru=true' },
      { key: 'SFORCE-MRU', value: 'updateMru=false' },
    ]
    expect(readHeaders(twice)).toEqual({
      headers: [{ key: 'Sforce-Mru', value: 'updateMru=true' }],
      issues: [{ path: '/headers/1/key', message: 'is given twice: also at /headers/0' }],
    })
    expect(pathsOf([{ key: 'sforce-mru', value: 'x' }, twice[0]])).toEqual([
      '/headers/0/value',
      '/headers/1/key',
    ])
  })

  it('refuses too many at once, without an issue for each', () => {
    const many = Array.from({ length: MAX_HEADERS + 1 }, () => ({ key: 'x', value: 'y' }))
    expect(pathsOf(many)).toEqual(['/headers'])
  })

  it('bounds what a message quotes', () => {
    expect(messageOf([{ key: 'x'.repeat(5000), value: '' }]).length).toBeLessThan(500)
  })

  it('never throws, and gives only headers that it would take again unchanged', () => {
    const entry = fc.record({
      key: fc.oneof(fc.constantFrom('Sforce-Mru', 'sforce-AUTO-assign', DUPLICATE), anyJson),
      value: fc.oneof(fc.constantFrom('TRUE', 'updateMru=false', 'allowSave=true'), anyJson),
    })
    fc.assert(
      fc.property(fc.oneof(anyJson, fc.array(fc.oneof(entry, anyJson))), (input) => {
        const { headers } = readHeaders(input)
        expect(readHeaders(headers)).toEqual({ headers, issues: [] })
      }),
    )
  })

  it('makes equal lists of equal sets', () => {
    const all = [
      { key: 'Sforce-Mru', value: 'updateMru=true' },
      { key: 'Sforce-Auto-Assign', value: 'FALSE' },
      { key: DUPLICATE, value: 'allowSave=true; runAsCurrentUser=true' },
      { key: 'x-sfdc-packageversion-a', value: '1.0' },
      { key: 'x-sfdc-packageversion-b', value: '1.0' },
    ]
    const casing = fc.func(fc.boolean())
    fc.assert(
      fc.property(
        fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length }),
        casing,
        (headers, isUpper) => {
          const recased = headers.map(({ key, value }) => ({
            key: isUpper(key) ? key.toUpperCase() : key.toLowerCase(),
            value: isUpper(value) ? value.toUpperCase() : value.toLowerCase(),
          }))
          expect(readHeaders(recased)).toEqual(readHeaders(all))
        },
      ),
    )
  })

  it("takes a duplicate header's flags apart and puts them together again", () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.constantFrom('allowSave', 'includeRecordDetails', 'runAsCurrentUser'),
          fc.boolean(),
          { minKeys: 1 },
        ),
        (flags) => {
          const value = spellDuplicateFlags(new Map(Object.entries(flags)))
          expect(valueOf(DUPLICATE, value)).toBe(value)
          expect(Object.fromEntries(duplicateFlagsOf(value))).toEqual({ ...flags })
        },
      ),
    )
  })
})
