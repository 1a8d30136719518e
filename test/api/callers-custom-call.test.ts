import { describe, expect, it } from 'vitest'
import { readCustomCall } from '../../src/api/compat/custom-call-body.ts'

const read = (body: Record<string, unknown>) => {
  const { call, issues } = readCustomCall({ method: 'GET', ...body })
  return call === null ? issues.map(({ path, message }) => `${path} ${message}`) : call.endpoint.path
}

describe("a variable's value in an endpoint", () => {
  it('is percent-encoded whole, an apostrophe too', () => {
    const variables = { name: "O'Brien & Söhne" }
    const encoded = 'O%27Brien%20%26%20S%C3%B6hne'
    expect(read({ endpoint: '/search?name={{ name }}', variables })).toBe(`/search?name=${encoded}`)
    expect(read({ endpoint: '/sobjects/Account/Key__c/{{name}}', variables })).toBe(
      `/sobjects/Account/Key__c/${encoded}`,
    )
  })

  it('may be all of a query, and no part of one', () => {
    const soql = "SELECT Id FROM Contact WHERE Email = 'a@example.com'"
    expect(read({ endpoint: '/query?explain=a&q={{ soql }}', variables: { soql } })).toBe(
      `/query?explain=a&q=${encodeURIComponent(soql).replaceAll("'", '%27')}`,
    )
    for (const q of ['q=SELECT+Id+FROM+C+LIMIT+{{ n }}', '%71=x%27{{ n }}%27', 'a={{ n }}&q={{ n }}{{ n }}'])
      expect(read({ endpoint: `/query?${q}`, variables: { n: '1 OR 2' } })).toContain(
        '/endpoint has the variable "n", which is only a part of the query q, which its value could change: ' +
          'use the action query, or make it all of q',
      )
  })
})

describe('a form', () => {
  const form = 'application/x-www-form-urlencoded'
  it.each([
    [form, 'a=1', true],
    [form, '_HttpMethod=DELETE', false],
    [form, 'a=1&%5FhttpMethod=DELETE', false],
    [form, 'oauth_token=x', false],
    ['multipart/form-data; boundary=x', '--x\r\nContent-Disposition: form-data; name="_HttpMethod"', false],
    ['multipart/form-data; boundary=x', '--x\r\nContent-Disposition: form-data; name="entity"', true],
    ['text/csv', '_HttpMethod=DELETE', true],
  ])('as %s with %j may stand for no other method and no session: %s', (type, body, may) => {
    const call = { method: 'POST', endpoint: '/sobjects/Account', headers: { 'Content-Type': type }, body }
    if (may) expect(read(call)).toBe('/sobjects/Account')
    else expect(read(call)).toEqual([expect.stringMatching(/^\/body must not have the parameter/)])
  })
})
