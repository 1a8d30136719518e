import { expect, it } from 'vitest'
import { tally } from '../../src/kernel/tally.ts'

it('counts texts, also those that every object has a member of', () => {
  expect(Object.entries(tally(['a', 'constructor', 'b', 'a', '__proto__', 'constructor']))).toEqual([
    ['a', 2],
    ['constructor', 2],
    ['b', 1],
    ['__proto__', 1],
  ])
  expect(tally([])).toEqual({})
})
