const SUFFIX = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ012345'
const pattern = /^(?:[A-Za-z0-9]{15}|[A-Za-z0-9]{18})$/

/**
 * The 18-character form of a record id, or null for what is no id. The last three characters say
 * which letters of the first fifteen are upper case; an 18-character id whose suffix does not fit, in
 * either case of the suffix, is corrupt.
 *
 * @see facts section 10
 */
export function normaliseRecordId(id: string): string | null {
  if (!pattern.test(id)) return null
  const full = id.slice(0, 15) + suffixOf(id)
  return id.length === 15 || full.slice(15) === id.slice(15).toUpperCase() ? full : null
}

function suffixOf(id: string): string {
  let suffix = ''
  for (let group = 0; group < 15; group += 5) {
    let bits = 0
    for (let i = 0; i < 5; i += 1) {
      const char = id.charCodeAt(group + i)
      if (char >= 65 && char <= 90) bits |= 1 << i
    }
    suffix += SUFFIX.charAt(bits)
  }
  return suffix
}
