const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const checksumAlphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ012345'
const idPattern = /^[A-Za-z0-9]{15}(?:[A-Z0-5]{3})?$/

/** A whole number as base-62 text of a fixed width, in Salesforce's digit order. */
export function toBase62(value: number, width: number): string {
  let rest = value
  let text = ''
  for (let i = 0; i < width; i++) {
    text = base62.charAt(rest % 62) + text
    rest = Math.floor(rest / 62)
  }
  return text
}

/** The three checksum characters of a 15-character id (facts 10). */
export function checksumOf(id15: string): string {
  let suffix = ''
  for (let group = 0; group < 15; group += 5) {
    let bits = 0
    for (let i = 0; i < 5; i++) {
      const code = id15.charCodeAt(group + i)
      if (code >= 65 && code <= 90) bits |= 1 << i
    }
    suffix += checksumAlphabet.charAt(bits)
  }
  return suffix
}

/** The 18-character form of a 15-character id (facts 10). */
export const toId18 = (id15: string): string => id15 + checksumOf(id15)

/**
 * The 18-character form of a 15- or 18-character id, or undefined for anything that is not an id:
 * wrong characters, wrong length, or a checksum that does not fit.
 */
export function normaliseId(text: unknown): string | undefined {
  if (typeof text !== 'string' || !idPattern.test(text)) return undefined
  const id18 = toId18(text.slice(0, 15))
  return text.length === 15 || text === id18 ? id18 : undefined
}

/** Makes ids of one org: every key prefix counts on its own, so ids of one seed repeat from run to run. */
export class IdSource {
  readonly #pod: string
  readonly #next = new Map<string, number>()

  /** @param seed decides the characters after the key prefix, so two orgs do not share ids */
  constructor(seed: number) {
    this.#pod = toBase62((Math.imul(seed + 1, 0x9e3779b1) >>> 0) % 3844, 2) + '0'
  }

  /** The next 18-character id under a key prefix. */
  next(keyPrefix: string): string {
    const number = this.#next.get(keyPrefix) ?? 1
    this.#next.set(keyPrefix, number + 1)
    return toId18(keyPrefix + this.#pod + toBase62(number, 9))
  }
}
