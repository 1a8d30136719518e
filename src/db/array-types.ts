/**
 * Arrays of PostgreSQL's own types. The driver would learn them by a query of its own on each new
 * connection, and a connection lost during that query ends the process; its reader also gives the text
 * "NULL" for a null element.
 */

interface ArrayType {
  to: number
  from: number[]
  parse: (text: string) => unknown[]
  serialize: (list: unknown[]) => string
}

/** A quoted element, or a bare one. */
const elementPattern = /"((?:[^"\\]|\\.)*)"|([^,{}"]+)/sy

function parseArray(text: string, parse: (element: string) => unknown): unknown[] {
  // bounds other than 1 come first, as in [0:1]={a,b}
  let at = text.indexOf('{')
  const element = (): unknown => {
    elementPattern.lastIndex = at
    const match = elementPattern.exec(text)
    if (!match) throw new SyntaxError(`not an array: ${text.slice(0, 40)}`)
    at = elementPattern.lastIndex
    if (match[1] !== undefined) return parse(match[1].replaceAll(/\\(.)/gs, '$1'))
    return match[2] === 'NULL' ? null : parse(match[2] ?? '')
  }
  const list = (): unknown[] => {
    const items: unknown[] = []
    at++
    while (text[at] !== '}') {
      items.push(text[at] === '{' ? list() : element())
      if (text[at] === ',') at++
    }
    at++
    return items
  }
  return list()
}

function serializeElement(item: unknown, serialize: (element: unknown) => string): string {
  if (item === undefined) throw new TypeError('an array for the database has an undefined element')
  if (item === null) return 'NULL'
  if (Array.isArray(item)) return serializeArray(item, serialize)
  const text = serialize(item)
  // most have nothing to escape, and to look costs less than to replace
  return /[\\"]/.test(text) ? `"${text.replaceAll(/[\\"]/g, '\\$&')}"` : `"${text}"`
}

function serializeArray(list: unknown[], serialize: (element: unknown) => string): string {
  let text = '{'
  for (let index = 0; index < list.length; index++) {
    if (index > 0) text += ','
    text += serializeElement(list[index], serialize)
  }
  return `${text}}`
}

const arrayType = (
  oid: number,
  parse: (element: string) => unknown,
  serialize: (element: unknown) => string = String,
): ArrayType => ({
  to: oid,
  from: [oid],
  parse: (text) => parseArray(text, parse),
  // a text is taken for an array that is written out already
  serialize: (list: unknown) => (Array.isArray(list) ? serializeArray(list, serialize) : String(list)),
})

const asText = (text: string): string => text
const asDate = (text: string): Date => new Date(text)
const fromDate = (value: unknown): string =>
  (value instanceof Date ? value : new Date(String(value))).toISOString()
const asJson = (text: string): unknown => JSON.parse(text)

/** Every array type that may be read or passed, by any name; the numbers are PostgreSQL's fixed object ids. */
export const arrayTypes = (parseBigint: (text: string) => number): Record<string, ArrayType> => ({
  booleans: arrayType(1000, (text) => text === 't'),
  byteas: arrayType(
    1001,
    (text) => Buffer.from(text.slice(2), 'hex'),
    (value) => `\\x${Buffer.from(value as Uint8Array).toString('hex')}`,
  ),
  smallints: arrayType(1005, Number),
  integers: arrayType(1007, Number),
  bigints: arrayType(1016, parseBigint),
  reals: arrayType(1021, Number),
  doubles: arrayType(1022, Number),
  names: arrayType(1003, asText),
  texts: arrayType(1009, asText),
  chars: arrayType(1014, asText),
  varchars: arrayType(1015, asText),
  oids: arrayType(1028, Number),
  numerics: arrayType(1231, asText),
  uuids: arrayType(2951, asText),
  timestamps: arrayType(1115, asDate, fromDate),
  timestamptzs: arrayType(1185, asDate, fromDate),
  dates: arrayType(1182, asDate, fromDate),
  intervals: arrayType(1187, asText),
  jsons: arrayType(199, asJson, (value) => JSON.stringify(value)),
  jsonbs: arrayType(3807, asJson, (value) => JSON.stringify(value)),
})
