import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { CipherError, createCipher, keyIdOf, keysById } from '../../src/connections/cipher.ts'

const key = randomBytes(32)
const cipher = createCipher({ keys: keysById(key), current: keyIdOf(key) })

const reasonOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    if (error instanceof CipherError) return error.reason
    throw error
  }
  return 'opened'
}

describe('cipher', () => {
  test('opens what it sealed, for the same purpose only', () => {
    const sealed = cipher.encrypt('größer 🦆', 'connection:1:credentials')
    expect(cipher.decrypt(sealed, 'connection:1:credentials')).toBe('größer 🦆')
    expect(reasonOf(() => cipher.decrypt(sealed, 'connection:2:credentials'))).toBe('tampered')
  })

  test('no two ciphertexts of one text are alike, and none holds the text', () => {
    const [one, two] = [cipher.encrypt('secret-text', 'p'), cipher.encrypt('secret-text', 'p')]
    expect(one.equals(two)).toBe(false)
    expect(one.includes('secret-text')).toBe(false)
  })

  test('a change of any byte is noticed', () => {
    const sealed = cipher.encrypt('secret', 'p')
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed)
      changed[at] = (changed[at] ?? 0) ^ 1
      expect(
        reasonOf(() => cipher.decrypt(changed, 'p')),
        `byte ${at}`,
      ).not.toBe('opened')
    }
    expect(reasonOf(() => cipher.decrypt(sealed.subarray(0, 20), 'p'))).toBe('malformed')
    expect(reasonOf(() => cipher.decrypt(sealed.subarray(0, -1), 'p'))).toBe('tampered')
  })

  test('several keys side by side: the current one seals, any known one opens', () => {
    const next = randomBytes(32)
    const both = createCipher({ keys: keysById(key, next), current: keyIdOf(next) })
    const old = cipher.encrypt('from before', 'p')
    expect(both.decrypt(old, 'p')).toBe('from before')
    const sealed = both.encrypt('new', 'p')
    expect(() => cipher.decrypt(sealed, 'p')).toThrow(`key ${keyIdOf(next)}, which is not configured`)
  })

  test('refuses keys that cannot be meant', () => {
    expect(() => createCipher({ keys: keysById(Buffer.alloc(16)), current: 'x' })).toThrow('16 bytes')
    expect(() => createCipher({ keys: keysById(key), current: 'nowhere' })).toThrow('no encryption key')
    expect(() => createCipher({ keys: new Map([['00000000', key]]), current: '00000000' })).toThrow(
      'another id',
    )
  })
})
