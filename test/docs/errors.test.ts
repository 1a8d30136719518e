import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { statusOf } from '../../src/api/error-handler.ts'
import { errorCatalogue, type ErrorCode } from '../../src/kernel/errors.ts'

const reference = readFileSync(new URL('../../docs/reference/errors.md', import.meta.url), 'utf8')

it('the reference names each code of an error with the status that it has', () => {
  const rows = [...reference.matchAll(/^\| (\d{3}) +\| `([A-Z_]+)` +\|/gm)]
  expect(rows.map(([, , code]) => code).sort()).toEqual(Object.keys(errorCatalogue).sort())
  for (const [, status, code = ''] of rows) {
    expect(Number(status)).toBe(statusOf(code as ErrorCode))
  }
})
