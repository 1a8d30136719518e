import { expect, it } from 'vitest'
import { benchHelp, readOptions } from '../../bench/harness/options.ts'
import { UsageError } from '../../src/cli/process.ts'

const questions = [
  { id: 'P1', name: 'accept', asks: 'how many' },
  { id: 'P3', name: 'drain', asks: 'how quickly' },
]

it('asks everything three times by default, and once in a quick run', () => {
  expect(readOptions([], questions)).toEqual({ only: null, quick: false, rounds: 3, seed: 1 })
  expect(readOptions(['--quick'], questions)).toEqual({ only: null, quick: true, rounds: 1, seed: 1 })
  expect(readOptions(['--quick', '--rounds', '2'], questions)?.rounds).toBe(2)
})

it('takes questions by id or name', () => {
  expect(readOptions(['--only', 'p3, accept'], questions)?.only).toEqual(['drain', 'accept'])
})

it('refuses what it does not know', () => {
  expect(() => readOptions(['--only', 'drian'], questions)).toThrow('there are accept, drain')
  expect(() => readOptions(['--rounds', '0'], questions)).toThrow(UsageError)
  expect(() => readOptions(['--fast'], questions)).toThrow(UsageError)
})

it('names the questions in its help', () => {
  expect(readOptions(['--help'], questions)).toBeNull()
  expect(benchHelp(questions)).toContain('  P3  drain         how quickly')
})
