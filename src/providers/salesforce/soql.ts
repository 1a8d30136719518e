/** Longest request line of a query, in bytes; Salesforce takes 16,384 with the headers (facts 6). */
const MAX_URI_BYTES = 8000

const name = /^[A-Za-z][A-Za-z0-9_]*$/

/** Whether a text can be the name of an object or a field, and nothing else. */
export const isSoqlName = (text: string): boolean => name.test(text)

const escapes: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  "'": "\\'",
  '"': '\\"',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\b': '\\b',
  '\f': '\\f',
}

/** A text as it stands within the quotes of a SOQL literal: nothing in it can end them. */
export const escapeText = (text: string): string =>
  // eslint-disable-next-line no-control-regex -- control characters are what has to be escaped
  text.replace(/[\\'"\u0000-\u001f\u007f\u2028\u2029]/g, (character) => {
    return escapes[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })

/** A text as a SOQL literal, quotes included. */
export const quoted = (text: string): string => `'${escapeText(text)}'`

/**
 * Queries for the records whose `keyField` has one of these values, as few as fit their lines; each is a
 * path with its query, from `/query` on. Names are taken as they are: see {@link isSoqlName}.
 * @param literals SOQL literals
 * @param prefixBytes what stands before the path
 */
export function keyQueries(
  { objectName, keyField, fields }: { objectName: string; keyField: string; fields: readonly string[] },
  literals: readonly string[],
  prefixBytes: number,
): string[] {
  const selected = [...new Set([keyField, ...fields].map((field) => field.toLowerCase()))]
  const columns = selected.map((lower) => [keyField, ...fields].find((one) => one.toLowerCase() === lower))
  const head = `SELECT ${columns.join(',')} FROM ${objectName} WHERE ${keyField} IN (`
  const pathOf = (chunk: readonly string[]): string =>
    `/query?q=${encodeURIComponent(`${head}${chunk.join(',')})`)}`
  const fixed = prefixBytes + pathOf([]).length
  const comma = encodeURIComponent(',').length
  const chunks: string[][] = []
  let room = 0
  for (const literal of literals) {
    const size = encodeURIComponent(literal).length + comma
    // A literal too long for a line of its own goes alone all the same: the provider says what it thinks.
    if (size > room || chunks.length === 0) {
      chunks.push([])
      room = MAX_URI_BYTES - fixed
    }
    chunks.at(-1)?.push(literal)
    room -= size
  }
  return chunks.map(pathOf)
}
