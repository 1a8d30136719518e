import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/kernel/clock.ts'
import type { HttpOutcome } from '../../src/providers/salesforce/http.ts'
import { observeHttp, operationOf } from '../../src/providers/salesforce/observed-http.ts'

const host = 'https://acme.my.salesforce.com'
const data = `${host}/services/data/v67.0`
const request = (method: string, url: string) => ({ method, url, headers: {}, body: null })

describe('what a request is for', () => {
  test.each([
    ['POST', `${host}/services/oauth2/token`, 'token'],
    ['POST', `${data}/composite`, 'composite'],
    ['POST', `${data}/composite/sobjects`, 'collection'],
    ['PATCH', `${data}/composite/sobjects/Contact/External_Id__c`, 'collection'],
    ['DELETE', `${data}/composite/sobjects?ids=003RM000006EncrYAC`, 'collection'],
    ['POST', `${data}/composite/sobjects/Contact`, 'read'],
    ['GET', `${data}/query?q=select+Id+from+Contact`, 'read'],
    ['PATCH', `${data}/sobjects/Contact/003RM000006EncrYAC`, 'record'],
    ['GET', `${data}/sobjects`, 'read'],
    ['GET', `${data}/sobjects/Contact/describe`, 'read'],
    ['GET', `${data}/limits`, 'other'],
    ['GET', 'no url', 'other'],
  ])('%s %s: %s', (method, url, operation) => {
    expect(operationOf({ method, url })).toBe(operation)
  })
})

test('every request is told with its status, or with none where no usable answer came', async () => {
  const told: [string, number | null][] = []
  const outcomes: HttpOutcome[] = [
    { kind: 'answer', status: 503, headers: {}, body: '' },
    { kind: 'failure', sent: true, status: 200, code: 'ECONNRESET', message: 'cut off' },
  ]
  let closed = false
  const inner = {
    send: () => Promise.resolve(outcomes[told.length]!),
    close: () => {
      closed = true
      return Promise.resolve()
    },
  }
  const http = observeHttp(inner, systemClock, {
    providerCalled: (operation, status, seconds) => {
      expect(seconds).toBeGreaterThanOrEqual(0)
      told.push([operation, status])
    },
  })
  for (const outcome of outcomes)
    expect(await http.send(request('POST', `${data}/composite`), { timeoutMs: 1 })).toBe(outcome)
  expect(told).toEqual([
    ['composite', 503],
    ['composite', null],
  ])
  await http.close()
  expect(closed).toBe(true)
})
