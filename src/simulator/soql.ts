import { ApiError } from './api-error.ts'

/** A value in a query: a text in quotes, or what stands without them. */
export type SoqlLiteral = { kind: 'text'; value: string } | { kind: 'bare'; value: string }

/** The operators of a comparison. */
export type SoqlOperator = '=' | '!=' | '<' | '<=' | '>' | '>=' | 'like' | 'in' | 'not in'

/** What rows are chosen by. */
export type SoqlCondition =
  | { kind: 'compare'; field: string; operator: SoqlOperator; literals: SoqlLiteral[] }
  | { kind: 'and' | 'or'; conditions: SoqlCondition[] }
  | { kind: 'not'; condition: SoqlCondition }

/** The part of SOQL that the simulator knows. */
export interface SoqlQuery {
  fields: string[]
  object: string
  where?: SoqlCondition
  /** Literals that rows are asked for by: those of `=` and IN. */
  keys: SoqlLiteral[]
  orderBy: { field: string; isDescending: boolean }[]
  limit?: number
}

type Token = { kind: 'name' | 'bare' | 'mark'; text: string } | { kind: 'text'; text: string; value: string }

const tokenPattern =
  /\s*(?:(?<name>[A-Za-z][A-Za-z0-9_]*)|(?<bare>-?\d[0-9A-Za-z.:+-]*)|(?<text>'(?:[^'\\\r\n]|\\[^\r\n])*')|(?<mark>!=|<>|<=|>=|[(),=<>]))/y

/** A text as a list of tokens that is read from its beginning. */
class Tokens {
  readonly #tokens: Token[]
  #position = 0

  constructor(text: string) {
    this.#tokens = tokensOf(text)
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#tokens.length
  }

  next(): Token {
    return this.#tokens[this.#position++] ?? { kind: 'mark', text: '<EOF>' }
  }

  isNext(word: string): boolean {
    return this.#tokens[this.#position]?.text.toLowerCase() === word
  }

  /** Goes past a word if it is the next one. */
  take(word: string): boolean {
    const isNext = this.isNext(word)
    if (isNext) this.#position++
    return isNext
  }

  expect(word: string): void {
    if (!this.take(word)) throw unexpected(this.next())
  }

  name(): string {
    const token = this.next()
    if (token.kind !== 'name') throw unexpected(token)
    return token.text
  }

  listOf<T>(read: () => T): T[] {
    const list = [read()]
    while (this.take(',')) list.push(read())
    return list
  }

  literal(): SoqlLiteral {
    const token = this.next()
    if (token.kind === 'text') return { kind: 'text', value: token.value }
    const isWord = token.kind === 'name' && /^(?:true|false|null)$/i.test(token.text)
    if (!isWord && token.kind !== 'bare') throw unexpected(token)
    return { kind: 'bare', value: isWord ? token.text.toLowerCase() : token.text }
  }
}

/** Reads a query. @throws {ApiError} 400 `MALFORMED_QUERY` */
export function parseSoql(text: string): SoqlQuery {
  const tokens = new Tokens(text)
  tokens.expect('select')
  const fields = tokens.listOf(() => tokens.name())
  tokens.expect('from')
  const query: SoqlQuery = { fields, object: tokens.name(), keys: [], orderBy: [] }
  if (tokens.take('where')) {
    query.where = readConditions(tokens)
    query.keys = keysOf(query.where)
  }
  if (tokens.take('order')) {
    tokens.expect('by')
    query.orderBy = tokens.listOf(() => {
      const field = tokens.name()
      const isDescending = tokens.take('desc')
      if (!isDescending) tokens.take('asc')
      return { field, isDescending }
    })
  }
  if (tokens.take('limit')) {
    const token = tokens.next()
    if (!/^\d+$/.test(token.text)) throw unexpected(token)
    query.limit = Number(token.text)
  }
  if (!tokens.isAtEnd) throw unexpected(tokens.next())
  return query
}

/** AND and OR do not mix without parentheses, as on the platform. */
function readConditions(tokens: Tokens): SoqlCondition {
  const conditions = [readCondition(tokens)]
  const kind = tokens.isNext('or') ? 'or' : 'and'
  while (tokens.take(kind)) conditions.push(readCondition(tokens))
  const [first] = conditions
  return conditions.length === 1 && first ? first : { kind, conditions }
}

function readCondition(tokens: Tokens): SoqlCondition {
  if (tokens.take('not')) return { kind: 'not', condition: readCondition(tokens) }
  if (tokens.take('(')) {
    const condition = readConditions(tokens)
    tokens.expect(')')
    return condition
  }
  const field = tokens.name()
  const token = tokens.next()
  const word = token.text.toLowerCase()
  if (word === 'in' || (word === 'not' && tokens.take('in'))) {
    tokens.expect('(')
    const literals = tokens.listOf(() => tokens.literal())
    tokens.expect(')')
    return { kind: 'compare', field, operator: word === 'in' ? 'in' : 'not in', literals }
  }
  const operator = word === '<>' ? '!=' : comparisons.find((one) => one === word)
  if (operator === undefined) throw unexpected(token)
  return { kind: 'compare', field, operator, literals: [tokens.literal()] }
}

const comparisons = ['=', '!=', '<', '<=', '>', '>=', 'like'] as const

function keysOf(condition: SoqlCondition): SoqlLiteral[] {
  if (condition.kind === 'compare')
    return condition.operator === '=' || condition.operator === 'in' ? condition.literals : []
  return condition.kind === 'not' ? [] : condition.conditions.flatMap(keysOf)
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
  // Only in a pattern of LIKE, where they stay what they are.
  '%': '\\%',
  _: '\\_',
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
