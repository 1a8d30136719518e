import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { configTable } from '../../src/config.ts'

test('the README has the table of every variable as it is', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  const table = readme.split('<!-- config:start -->')[1]?.split('<!-- config:end -->')[0]
  expect(table?.trim()).toBe(configTable())
})
