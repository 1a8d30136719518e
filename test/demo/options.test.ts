import { describe, expect, it } from 'vitest'
import { readOptions } from '../../src/cli/demo/options.ts'
import { UsageError } from '../../src/cli/process.ts'

describe('the options of the demo', () => {
  it('has defaults', () => {
    expect(readOptions([])).toEqual({ writes: 1_000, seed: 1, keep: false })
  })

  it('takes each option', () => {
    const options = { writes: 100_000, seed: 0, keep: true }
    expect(readOptions(['--writes', '100000', '--seed=0', '--keep'])).toEqual(options)
    expect(readOptions(['--help'])).toBeNull()
    expect(readOptions(['-h'])).toBeNull()
  })

  it.each([
    [['--writes', '0'], '--writes must be a whole number from 1 to 100000, not "0".'],
    [['--writes', '100001'], '--writes must be a whole number from 1 to 100000, not "100001".'],
    [['--writes', 'many'], '--writes must be a whole number from 1 to 100000, not "many".'],
    [['--writes', ''], '--writes must be a whole number from 1 to 100000, not "".'],
    [['--seed', '1.5'], '--seed must be a whole number from 0 to 2147483647, not "1.5".'],
    [['--seed', '2147483648'], '--seed must be a whole number from 0 to 2147483647, not "2147483648".'],
    [['--fast'], "Unknown option '--fast'. See writeback demo --help."],
    [['now'], "Unexpected argument 'now'. See writeback demo --help."],
    [['--seed', '-1'], "Option '--seed' argument is ambiguous. See writeback demo --help."],
  ])('refuses %j in one line', (args, message) => {
    const read = (): unknown => readOptions(args)
    expect(read).toThrow(UsageError)
    expect(read).toThrow(message)
  })
})
