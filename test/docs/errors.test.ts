import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { statusOf } from '../../src/api/error-handler.ts'
import { errorCatalogue, type ErrorCode } from '../../src/kernel/errors.ts'

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')

it('the README names each code of an error with the status that it has', () => {
  const rows = [...readme.matchAll(/^\| (\d{3}) +\| `([A-Z_]+)` +\|/gm)]
  expect(rows.length).toBeGreaterThan(10)
  for (const [, status, code = ''] of rows) {
    expect(Object.keys(errorCatalogue)).toContain(code)
    expect(Number(status)).toBe(statusOf(code as ErrorCode))
  }
})
