import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { instanceUrlFault, isRsaPrivateKey, loginUrlFault } from '../../src/connections/credential-checks.ts'

describe('login and instance URLs', () => {
  test.each([
    'https://login.salesforce.com',
    'https://acme.my.salesforce.com/',
    'https://acme.my.site.com/partners',
    'https://8.8.8.8',
  ])('%s is taken', (url) => expect(loginUrlFault(url, false)).toBeNull())

  test.each([
    ['login.salesforce.com', 'must be a URL'],
    ['ftp://login.salesforce.com', 'https://'],
    ['http://login.salesforce.com', 'https://'],
    ['https://user:secret@login.salesforce.com', 'user name'],
    ['https://login.salesforce.com?', 'query'],
    ['https://login.salesforce.com/#x', 'fragment'],
    ['https://localhost', 'private'],
    ['https://api.localhost.', 'private'],
    ['https://intranet', 'private'],
    ['https://db.internal', 'private'],
    ['https://127.0.0.1', 'private'],
    ['https://0x7f.1', 'private'],
    ['https://2130706433', 'private'],
    ['https://10.1.2.3', 'private'],
    ['https://172.31.0.1', 'private'],
    ['https://192.168.1.1', 'private'],
    ['https://169.254.169.254', 'private'],
    ['https://[::1]', 'private'],
    ['https://[fd00::1]', 'private'],
    ['https://[fe80::1]', 'private'],
    ['https://[::ffff:10.0.0.1]', 'private'],
  ])('%s is refused: %s', (url, why) => expect(loginUrlFault(url, false)).toContain(why))

  test('insecure ones are taken where they are allowed, but still have to be URLs of a host', () => {
    expect(loginUrlFault('http://127.0.0.1:8085', true)).toBeNull()
    expect(loginUrlFault('http://simulator:8085', true)).toBeNull()
    expect(loginUrlFault('file:///etc/passwd', true)).toContain('https://')
  })

  test('an instance URL has no path', () => {
    expect(instanceUrlFault('https://acme.my.salesforce.com', false)).toBeNull()
    expect(instanceUrlFault('https://acme.my.salesforce.com/services', false)).toContain('path')
    expect(instanceUrlFault('http://127.0.0.1', false)).toContain('https://')
  })
})

test('private keys: RSA of 2,048 bits or more, in PEM', () => {
  const pem = { type: 'pkcs8', format: 'pem' } as const
  const make = (bits: number) =>
    generateKeyPairSync('rsa', { modulusLength: bits }).privateKey.export(pem).toString()
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(pem).toString()
  expect(isRsaPrivateKey(make(2048))).toBe(true)
  expect(isRsaPrivateKey(make(1024))).toBe(false)
  expect(isRsaPrivateKey(ec)).toBe(false)
  expect(isRsaPrivateKey('-----BEGIN PRIVATE KEY-----\nnonsense')).toBe(false)
})
