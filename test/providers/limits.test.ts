import { expect, it } from 'vitest'
import { parseApiUsage, throttleKind } from '../../src/providers/salesforce/limits.ts'

const limitError = (message: string) => ({ code: 'REQUEST_LIMIT_EXCEEDED', message, fields: [] })

it.each([
  ['api-usage=10018/100000', { used: 10018, limit: 100000 }],
  ['api-usage=18/5000; per-app-api-usage=17/250(appName=sample)', { used: 18, limit: 5000 }],
  ['per-app-api-usage=17/250(appName=sample); api-usage=18/5000', { used: 18, limit: 5000 }],
  ['per-app-api-usage=17/250(appName=sample)', null],
  ['api-usage=many', null],
  [undefined, null],
])('reads the usage of the org from "%s"', (header, usage) => {
  expect(parseApiUsage(header)).toEqual(usage)
})

it.each([
  ['TotalRequests Limit exceeded.', 'daily'],
  ['ConcurrentRequests (Concurrent API Requests) Limit exceeded.', 'concurrent'],
  ['ConcurrentPerOrgLongTxn Limit exceeded.', 'long_running'],
  ['Some other limit', null],
])('tells the limits apart by their text: "%s" is %s', (message, kind) => {
  expect(throttleKind([limitError(message)])).toBe(kind)
})

it('takes no text of another code for a limit', () => {
  expect(
    throttleKind([{ code: 'INVALID_FIELD', message: 'TotalRequests Limit exceeded.', fields: [] }]),
  ).toBeNull()
})
