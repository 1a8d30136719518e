import fc from 'fast-check'
import { expect, test } from 'vitest'
import { removeSecrets } from '../../src/providers/salesforce/remove-secrets.ts'

const secret = 'S3cret+/value=with&signs!and.more'

test.each([
  ['whole', `no ${secret}.`],
  ['by its beginning', `no ${secret.slice(0, 12)}.`],
  ['by a part of it', `no ${secret.slice(5, 20)}.`],
  ['URL-encoded', `no ${encodeURIComponent(secret)}.`],
  ['URL-encoded in lower case', `no ${encodeURIComponent(secret).toLowerCase()}.`],
  ['in base64', `no ${Buffer.from(secret).toString('base64')}.`],
  ['in hex', `no ${Buffer.from(secret).toString('hex')}.`],
])('a secret is removed %s', (_how, text) => {
  expect(removeSecrets(text, [secret])).toBe('no [removed].')
})

test('what is between two secrets stays, and short secrets are removed too', () => {
  expect(removeSecrets(`${secret} and ${secret}, pw`, [secret, 'pw', ''])).toBe(
    '[removed] and [removed], [removed]',
  )
})

test('a text without it stays as it is', () => {
  const text = 'expired access/refresh token S3cret+/val'
  expect(removeSecrets(text, [secret])).toBe(text)
  expect(removeSecrets(text, [])).toBe(text)
})

test('nothing telling is left, wherever it stands', () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.string(),
      fc.nat(20),
      fc.integer({ min: 12, max: 40 }),
      (before, after, from, length) => {
        const part = secret.slice(from, from + length)
        const left = removeSecrets(before + part + after, [secret])
        for (let at = 0; at + 12 <= part.length; at++) expect(left).not.toContain(part.slice(at, at + 12))
      },
    ),
  )
})
