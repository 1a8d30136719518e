import { isPrivateAddress } from '../../src/kernel/private-addresses.ts'
import { describe, expect, it } from 'vitest'
import {
  checkInstanceUrl,
  checkLoginUrl,
  guardedLookup,
  OutboundRefused,
} from '../../src/providers/salesforce/outbound.ts'

const strict = { allowInsecure: false }
const insecure = { allowInsecure: true }

describe('instance URLs', () => {
  it.each(['https://acme.my.salesforce.com', 'https://acme.my.salesforce.com/'])('takes %s', (url) => {
    expect(checkInstanceUrl(url, strict)).toBe('https://acme.my.salesforce.com')
  })

  it.each([
    ['http://acme.my.salesforce.com', 'https'],
    ['ftp://acme.my.salesforce.com', 'https'],
    ['https://127.0.0.1', 'private'],
    ['https://0x7f.1', 'private'],
    ['https://2130706433', 'private'],
    ['https://localhost', 'private'],
    ['https://localhost.', 'private'],
    ['https://a.localhost', 'private'],
    ['https://10.1.2.3', 'private'],
    ['https://169.254.169.254', 'private'],
    ['https://[::1]', 'private'],
    ['https://[::ffff:10.0.0.1]', 'private'],
    ['https://[fd00::1]', 'private'],
    ['https://acme.my.salesforce.com/services', 'origin'],
    ['https://user:pw@acme.my.salesforce.com', 'user'],
    ['https://acme.my.salesforce.com?x=1', 'query'],
    ['https://acme.lightning.force.com', 'Lightning'],
    ['acme.my.salesforce.com', 'URL'],
    ['', 'URL'],
  ])('refuses %s', (url, why) => {
    expect(() => checkInstanceUrl(url, strict)).toThrow(OutboundRefused)
    expect(() => checkInstanceUrl(url, strict)).toThrow(why)
  })

  it('allows plain http to private hosts when insecure, and to no others', () => {
    expect(checkInstanceUrl('http://127.0.0.1:4000/', insecure)).toBe('http://127.0.0.1:4000')
    expect(checkInstanceUrl('http://[::1]:4000', insecure)).toBe('http://[::1]:4000')
    expect(checkInstanceUrl('https://10.0.0.1', insecure)).toBe('https://10.0.0.1')
    expect(() => checkInstanceUrl('http://93.184.216.34', insecure)).toThrow('private hosts only')
  })
})

it('keeps the path of a login URL, as a site has its login under one', () => {
  expect(checkLoginUrl('https://acme.my.site.com/partners', strict).href).toBe(
    'https://acme.my.site.com/partners',
  )
})

it.each([
  ['8.8.8.8', false],
  ['172.15.255.255', false],
  ['172.16.0.1', true],
  ['100.64.0.1', true],
  ['0.0.0.0', true],
  ['::ffff:127.0.0.1', true],
  ['fe80::1', true],
  ['2606:4700::1111', false],
])('knows whether %s is private: %s', (address, expected) => {
  expect(isPrivateAddress(address)).toBe(expected)
})

describe('names that resolve to our own network', () => {
  const resolve = (
    protocol: 'http' | 'https',
    policy: { allowInsecure: boolean },
    all: boolean,
  ): Promise<unknown> =>
    new Promise((done) => {
      guardedLookup(protocol, policy)('localhost', { all }, (error, address) => done(error ?? address))
    })

  it('are refused as a socket is opened', async () => {
    for (const all of [true, false]) {
      expect(await resolve('https', strict, all)).toBeInstanceOf(OutboundRefused)
    }
  })

  it('are allowed when insecure, in both shapes of a look-up', async () => {
    expect(await resolve('http', insecure, false)).toMatch(/^(127\.|::1$)/)
    expect(await resolve('http', insecure, true)).toEqual(
      expect.arrayContaining([expect.objectContaining({ address: expect.any(String) as string })]),
    )
  })
})
