import { ApiError } from './api-error.ts'

/** A value in a query: a text in quotes, or what stands without them. */
export type SoqlLiteral = { kind: 'text'; value: string } | { kind: 'bare'; value: string }

/** The part of SOQL that the simulator knows. */
export interface SoqlQuery {
  fields: string[]
  object: string
  /** `field = literal` or `field IN (literals)`. */
  where?: { field: string; literals: SoqlLiteral[] }
  limit?: number
}

type Token = { kind: 'name' | 'bare' | 'mark'; text: string } | { kind: 'text'; text: string; value: string }

const tokenPattern =
  /\s*(?:(?<name>[A-Za-z][A-Za-z0-9_]*)|(?<bare>-?\d[0-9A-Za-z.:+-]*)|(?<text>'(?:[^'\\\r\n]|\\[^\r\n])*')|(?<mark>[(),=]))/y

/** Reads a query. @throws {ApiError} 400 `MALFORMED_QUERY` */
export function parseSoql(text: string): SoqlQuery {
  const tokens = tokensOf(text)
  let position = 0
  const next = (): Token => tokens[position++] ?? { kind: 'mark', text: '<EOF>' }
  const isNext = (word: string): boolean => tokens[position]?.text.toLowerCase() === word
  const expect = (word: string): void => {
    const token = next()
    if (token.text.toLowerCase() !== word) throw unexpected(token)
  }
  const name = (): string => {
    const token = next()
    if (token.kind !== 'name') throw unexpected(token)
    return token.text
  }
  const listOf = <T>(read: () => T): T[] => {
    const list = [read()]
    while (isNext(',')) {
      position++
      list.push(read())
    }
    return list
  }
  const literal = (): SoqlLiteral => {
    const token = next()
    if (token.kind === 'text') return { kind: 'text', value: token.value }
    const isWord = token.kind === 'name' && /^(?:true|false|null)$/i.test(token.text)
    if (!isWord && token.kind !== 'bare') throw unexpected(token)
    return { kind: 'bare', value: isWord ? token.text.toLowerCase() : token.text }
  }

  expect('select')
  const query: SoqlQuery = { fields: listOf(name), object: '' }
  expect('from')
  query.object = name()
  if (isNext('where')) {
    position++
    const field = name()
    if (isNext('in')) {
      position++
      expect('(')
      query.where = { field, literals: listOf(literal) }
      expect(')')
    } else {
      expect('=')
      query.where = { field, literals: [literal()] }
    }
  }
  if (isNext('limit')) {
    position++
    const token = next()
    if (!/^\d+$/.test(token.text)) throw unexpected(token)
    query.limit = Number(token.text)
  }
  if (position < tokens.length) throw unexpected(next())
  return query
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  while (text.slice(at).trim() !== '') {
    tokenPattern.lastIndex = at
    const match = tokenPattern.exec(text)
    if (!match?.groups)
      throw malformed(`line 1:${at} no viable alternative at character '${text.charAt(at)}'`)
    const { name, bare, text: quoted, mark } = match.groups
    if (name !== undefined) tokens.push({ kind: 'name', text: name })
    else if (bare !== undefined) tokens.push({ kind: 'bare', text: bare })
    else if (mark !== undefined) tokens.push({ kind: 'mark', text: mark })
    else if (quoted !== undefined)
      tokens.push({ kind: 'text', text: quoted, value: unescape(quoted.slice(1, -1)) })
    at = tokenPattern.lastIndex
  }
  return tokens
}

const escapes: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  b: '\b',
  f: '\f',
  '"': '"',
  "'": "'",
  '\\': '\\',
}

const unescape = (text: string): string =>
  text.replace(/\\(?:u([0-9A-Fa-f]{4})|(.))/g, (_, code: string | undefined, char: string | undefined) => {
    if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16))
    const meant = escapes[char?.toLowerCase() ?? '']
    if (meant === undefined)
      throw malformed(`Invalid string literal '${text}'. Illegal character sequence '\\${char ?? ''}'`)
    return meant
  })

const malformed = (message: string): ApiError => new ApiError(400, 'MALFORMED_QUERY', message)

const unexpected = ({ text }: Token): ApiError => malformed(`unexpected token: '${text}'`)
