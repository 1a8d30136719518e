import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { parseJson } from '../../src/api/json-body.ts'
import { isWritebackError } from '../../src/kernel/errors.ts'

/** The issues of a text, or null when it is taken. */
function issuesOf(text: string): Record<string, string> | null {
  try {
    parseJson(Buffer.from(text))
    return null
  } catch (error) {
    if (!isWritebackError(error)) throw error
    return Object.fromEntries((error.issues ?? []).map(({ path, message }) => [path, message]))
  }
}

const tooLong = 'is a number with more digits than can be kept: send it as text, or with fewer digits'

describe('numbers', () => {
  it.each([
    '0',
    '-0',
    '0e999999999999',
    '1.10',
    '1E2',
    '123456789012345000000e-4',
    '9007199254740991',
    '-9007199254740992',
    '9007199254740994',
    '0.30000000000000004',
    '1.7976931348623157e308',
    '1e21',
    '5e-324',
    '100000000000000000000',
    '0.1000000000000000000000',
  ])('%s is taken', (number) => {
    expect(issuesOf(`{"record":{"N":${number}}}`)).toBeNull()
    expect(issuesOf(number)).toBeNull()
  })

  it.each([
    '9007199254740993',
    '-9007199254740993',
    '12345678901234567',
    '0.1234567890123456789',
    '0.10000000000000001',
    '1e400',
    '-1e400',
    '1e-400',
    '1.00000000000000000001',
    `1${'0'.repeat(40)}1`,
    `1e${'9'.repeat(400)}`,
  ])('%s would change and is refused, naming the field', (number) => {
    expect(issuesOf(`{"a":[0,{"b/c":${number}}],"text":"${number}"}`)).toEqual({ '/a/1/b~1c': tooLong })
    expect(issuesOf(number)).toEqual({ '': tooLong })
  })

  test('a number that is taken is sent as the same number, whatever its text', () => {
    const digits = fc.stringMatching(/^\d{1,25}$/)
    const number = fc
      .tuple(
        fc.constantFrom('', '-'),
        digits,
        fc.option(digits),
        fc.option(fc.integer({ min: -340, max: 340 })),
      )
      .map(([sign, whole, fraction, power]) => {
        const head = whole.replace(/^0+(?=\d)/, '')
        return `${sign}${head}${fraction === null ? '' : `.${fraction}`}${power === null ? '' : `e${power}`}`
      })
    /** A number as a fraction of whole numbers times a power of ten. */
    const exact = (text: string): [bigint, number] => {
      const [, sign, whole = '', fraction = '', power = '0'] =
        /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(text) ?? []
      return [BigInt(whole + fraction) * (sign === '-' ? -1n : 1n), Number(power) - fraction.length]
    }
    const isSame = (one: string, other: string): boolean => {
      const [[a, powerA], [b, powerB]] = [exact(one), exact(other)]
      const least = Math.min(powerA, powerB)
      return a * 10n ** BigInt(powerA - least) === b * 10n ** BigInt(powerB - least)
    }
    fc.assert(
      fc.property(number, (text) => {
        const value = Number(text)
        const kept = Number.isFinite(value) && isSame(text, JSON.stringify(value))
        expect(issuesOf(`[${text}]`) === null).toBe(kept)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('members', () => {
  it.each([
    ['{"a":1,"a":1}', ['/a']],
    ['{"record":{"Name":"x","Phone":"1","N\\u0061me":"y"}}', ['/record/Name']],
    ['{"__proto__":1,"__proto__":2}', ['/__proto__']],
    ['{"a":[{},{"b":[true,false,null,{"c":"{\\"d\\":","c":[]}]}]}', ['/a/1/b/3/c']],
    ['{ "a" : { "x" : 1 , "x" : 2 } ,\n "a" : 9007199254740993 }', ['/a', '/a/x']],
  ])('%s is refused, naming the member', (text, paths) => {
    const issues = issuesOf(text)
    expect(Object.keys(issues ?? {}).sort()).toEqual(paths)
  })

  it.each(['{"a":{"a":1},"b":{"a":1}}', '[{"a":1},{"a":1}]', '{"a":"\\"a\\":1,\\"a\\":1"}', '{"":1}'])(
    '%s is taken',
    (text) => expect(issuesOf(text)).toBeNull(),
  )

  test('any value is taken as it is, whatever its names and texts', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5, noUnicodeString: false }), fc.nat(4), (value, spaces) => {
        const text = JSON.stringify(value, null, spaces)
        if (/\\u(0000|[dD][89a-fA-F])/.test(text)) return
        expect(JSON.stringify(parseJson(Buffer.from(text)))).toBe(JSON.stringify(value))
      }),
      { numRuns: 1_000 },
    )
  })

  test('a body full of faults is answered with a bounded number of issues, and soon', () => {
    const twice = `{${'"a":1,'.repeat(200_000)}"a":12345678901234567890}`
    const zeros = `[1${'0'.repeat(3_000_000)}1, 1${'0'.repeat(2_000_000)}]`
    const started = performance.now()
    for (const text of [twice, zeros]) {
      const { length } = Object.keys(issuesOf(text) ?? {})
      expect(length).toBeGreaterThan(0)
      expect(length).toBeLessThanOrEqual(100)
    }
    expect(performance.now() - started).toBeLessThan(5_000)
  })
})
