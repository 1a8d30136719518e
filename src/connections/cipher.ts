import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'

/*
 * Credentials and sessions at rest: AES-256-GCM. A ciphertext is
 *
 *   1 byte format | 4 bytes key id | 12 bytes nonce | 16 bytes tag | the encrypted text
 *
 * The key's id lets several keys live side by side while data moves from one to the next. What a text
 * is for is authenticated with it, so that a ciphertext copied into another row or column does not open.
 * Nonces are random: one key must not encrypt more than some 2^32 texts, which no installation of this
 * service comes near.
 */

const FORMAT = 1
const KEY_ID_BYTES = 4
const NONCE_BYTES = 12
const TAG_BYTES = 16
const HEAD_BYTES = 1 + KEY_ID_BYTES
const OVERHEAD = HEAD_BYTES + NONCE_BYTES + TAG_BYTES

/** Why a ciphertext did not open. The message holds nothing of its content. */
export class CipherError extends Error {
  readonly reason: 'malformed' | 'unknown-key' | 'tampered'
  constructor(reason: CipherError['reason'], message: string) {
    super(message)
    this.name = 'CipherError'
    this.reason = reason
  }
}

/** Encrypts small texts. `purpose` says what a text is for, for example `connection:ID:credentials`. */
export interface Cipher {
  encrypt(text: string, purpose: string): Buffer
  /** @throws {CipherError} unless the ciphertext was made with a known key for this very purpose */
  decrypt(data: Uint8Array, purpose: string): string
}

/** Id of a key: the first bytes of its hash, which say nothing of the key itself. */
export const keyIdOf = (key: Buffer): string =>
  createHash('sha256')
    .update(key)
    .digest('hex')
    .slice(0, KEY_ID_BYTES * 2)

/** The keys by their ids, as {@link createCipher} takes them. */
export const keysById = (...keys: Buffer[]): Map<string, Buffer> =>
  new Map(keys.map((key) => [keyIdOf(key), key]))

/** What is authenticated besides the text: the head, and what the text is for. */
const contextOf = (head: Uint8Array, purpose: string): Buffer => Buffer.concat([head, Buffer.from(purpose)])

function decryptWith(key: Buffer, data: Buffer, purpose: string): string {
  const nonce = data.subarray(HEAD_BYTES, HEAD_BYTES + NONCE_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(contextOf(data.subarray(0, HEAD_BYTES), purpose))
  decipher.setAuthTag(data.subarray(HEAD_BYTES + NONCE_BYTES, OVERHEAD))
  return Buffer.concat([decipher.update(data.subarray(OVERHEAD)), decipher.final()]).toString('utf8')
}

/**
 * @param options.keys every key that may still be met, by {@link keyIdOf}
 * @param options.current id of the key that encrypts from now on
 * @throws {RangeError} when a key is not 32 bytes, goes by another id, or the current one is missing
 */
export function createCipher(options: { keys: ReadonlyMap<string, Buffer>; current: string }): Cipher {
  const { keys, current } = options
  for (const [id, key] of keys) {
    if (key.length !== 32) throw new RangeError(`Encryption key ${id} has ${key.length} bytes instead of 32`)
    if (id !== keyIdOf(key)) throw new RangeError(`Encryption key ${id} goes by another id`)
  }
  const currentKey = keys.get(current)
  if (currentKey === undefined) throw new RangeError(`There is no encryption key ${current}`)
  const head = Buffer.concat([Buffer.of(FORMAT), Buffer.from(current, 'hex')])

  return {
    encrypt(text, purpose) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', currentKey, nonce, { authTagLength: TAG_BYTES })
      cipher.setAAD(contextOf(head, purpose))
      const encrypted = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return Buffer.concat([head, nonce, cipher.getAuthTag(), encrypted])
    },
    decrypt(data, purpose) {
      const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength)
      if (bytes.length < OVERHEAD || bytes[0] !== FORMAT)
        throw new CipherError('malformed', 'This is not a ciphertext of this service')
      const id = bytes.toString('hex', 1, HEAD_BYTES)
      const key = keys.get(id)
      if (key === undefined)
        throw new CipherError('unknown-key', `The data was encrypted with key ${id}, which is not configured`)
      try {
        return decryptWith(key, bytes, purpose)
      } catch {
        throw new CipherError('tampered', 'The data was changed or belongs elsewhere')
      }
    },
  }
}
