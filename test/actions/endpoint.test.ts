import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { belowVersion, readEndpoint } from '../../src/actions/endpoint.ts'

const dots = 'must have no parts that are dots, percent-encoded or not'
const slashes = 'must have no percent-encoded slash or backslash in its path'
const root = 'must be a path under /services/data or /services/apexrest'

describe('an endpoint', () => {
  it.each([
    ['/limits', ['limits']],
    ['/sobjects/Account/001RM000003oLruYAE', ['sobjects', 'Account', '001RM000003oLruYAE']],
    ['/sobjects/Account/', ['sobjects', 'Account']],
    ['/services/data/v67.0/query?q=SELECT+Id+FROM+Account', ['query']],
    ['/services/data/v67.0/query?q=a%2Fb//c@d', ['query']],
    ['/sobjects/Account/Key__c/a%20b%25', ['sobjects', 'Account', 'Key__c', 'a b%']],
    ['/services/data', []],
    ['/services/apexrest/acme/Orders/7', null],
  ])('%s is called', (text, segments) => {
    const read = readEndpoint(text)
    if (typeof read === 'string') throw new Error(read)
    expect(read).toMatchObject({ origin: null, path: text })
    expect(belowVersion(read)).toEqual(segments)
  })

  it('as a URL names its origin, which is compared with the instance', () => {
    expect(readEndpoint('https://acme.my.salesforce.com:443/services/data/v67.0/limits')).toEqual({
      origin: 'https://acme.my.salesforce.com',
      path: '/services/data/v67.0/limits',
      segments: ['services', 'data', 'v67.0', 'limits'],
    })
  })

  it.each([
    ['', 'must not be empty'],
    ['limits', 'must be a path that begins with a slash'],
    ['@evil.example.com/', 'must be a path that begins with a slash'],
    ['javascript:x', 'must be a path that begins with a slash'],
    ['//evil.example.com/', 'must not begin with two slashes: it would name another host'],
    ['/limits//x', 'must have no empty parts (two slashes in a row)'],
    ['https://user@acme.my.salesforce.com/services/data', 'must have no user and no password'],
    ['https:///acme.my.salesforce.com/services/data/v67.0/limits', 'is not a URL'],
    ['/\\evil.example.com', 'must have no backslash'],
    ['/limits#x', 'must have no fragment'],
    ['/a b', 'must be ASCII without spaces; percent-encode everything else'],
    ['/a\r\nHost: x', 'must be ASCII without spaces; percent-encode everything else'],
    ['/\uff0fevil', 'must be ASCII without spaces; percent-encode everything else'],
    ['/..', dots],
    ['/a/../b', dots],
    ['/a/./b', dots],
    ['/%2e%2e/b', dots],
    ['/%2E./b', dots],
    ['/%252e%252e/b', dots],
    ['/%25252e./b', dots],
    ['/a%2fb', slashes],
    ['/a%5cb', slashes],
    ['/a%252Fb', slashes],
    ['/%2525252525252525252e', 'is percent-encoded too often'],
    ['/a%00', 'must have no control characters'],
    ['/a%0d%0ab', 'must have no control characters'],
    ['/a;b', 'must have no semicolon in its path'],
    ['/a%3bb', 'must have no semicolon in its path'],
    ['/a%', 'must be percent-encoded as UTF-8'],
    ['/a%ff', 'must be percent-encoded as UTF-8'],
    ['/services/oauth2/token', root],
    ['/services', root],
    ['/Services/data/v67.0/limits', root],
    ['/services/dataloader', root],
    ['/%73ervices/oauth2/token', root],
    ['/services/apexresty', root],
    ['https://acme.my.salesforce.com/id/x', root],
    ['/services/data/67.0/limits', 'must name an API version after /services/data, for example v67.0'],
    ['/sobjects/Account?_HttpMethod=DELETE', 'must not have the parameter _HttpMethod: give it as method'],
    ['/sobjects/Account?a=1&%5FhttpMethod=x', 'must not have the parameter _HttpMethod: give it as method'],
    ['/sobjects/Account?a=1;_HttpMethod=x', 'must not have the parameter _HttpMethod: give it as method'],
    ...['oauth_token', 'Access_Token', 'sid'].map((name): [string, string] => [
      `/limits?${name}=x`,
      `must not have the parameter ${name.toLowerCase()}: the session is that of the connection`,
    ]),
    ['/a"b', 'has characters that must be percent-encoded'],
    [`/${'a'.repeat(16_000)}`, 'must have at most 16000 characters'],
  ])('%j is refused by name', (text, fault) => {
    expect(readEndpoint(text)).toBe(fault)
  })

  it('never leads elsewhere than to its own path on the instance', () => {
    const piece = fc.constantFrom(
      ...['/', '//', '\\', '..', '.', '%2e', '%2f', '%5c', '%25', '@', ':', '#', '?', ';', ' ', '\t', '\n'],
      ...[
        'services',
        'data',
        'apexrest',
        'v67.0',
        'oauth2',
        'evil.example.com',
        'https:',
        'a',
        '\u3002',
        '\uff0f',
      ],
    )
    let called = 0
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const read = readEndpoint(`/${pieces.join('')}`)
        if (typeof read === 'string') return
        called += 1
        const base = 'https://acme.my.salesforce.com'
        const { path } = read
        const url = new URL(
          path.startsWith('/services/') ? base + path : `${base}/services/data/v67.0${path}`,
        )
        expect(url.origin).toBe(base)
        expect(url.username + url.password + url.hash).toBe('')
        expect(url.pathname).toMatch(/^\/services\/(data|apexrest)(\/|$)/)
      }),
      { numRuns: 5_000 },
    )
    expect(called).toBeGreaterThan(100)
  })
})
