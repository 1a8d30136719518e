import { expect, it } from 'vitest'
import { readOptions } from '../../bench/chaos/options.ts'

it('has a default for everything', () => {
  expect(readOptions([])).toEqual({ seconds: 60, seed: 1, rate: 80, drain: 330, lease: 10 })
})

it('takes what is given', () => {
  const args = ['--seconds', '1200', '--seed', '0', '--rate', '150', '--drain', '60', '--lease', '5']
  expect(readOptions(args)).toEqual({ seconds: 1200, seed: 0, rate: 150, drain: 60, lease: 5 })
})

it.each([
  [['--seconds', '0'], '--seconds must be a whole number from 1 to 86400, not "0".'],
  [['--seed', 'x'], '--seed must be a whole number from 0 to 2147483647, not "x".'],
  [['--lease', '4'], '--lease must be a whole number from 5 to 300, not "4".'],
  [['--colour'], "Unknown option '--colour'"],
])('refuses %o', (args, message) => {
  expect(() => readOptions(args)).toThrow(message)
})

it('has help', () => {
  expect(readOptions(['--help'])).toBeNull()
})
