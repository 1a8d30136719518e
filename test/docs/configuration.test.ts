import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { configTable } from '../../src/config.ts'

test('the reference has the table of every variable as it is', () => {
  const reference = readFileSync(new URL('../../docs/reference/configuration.md', import.meta.url), 'utf8')
  const table = reference.split('<!-- config:start -->')[1]?.split('<!-- config:end -->')[0]
  expect(table?.trim()).toBe(configTable())
})
