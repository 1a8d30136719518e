import { Ajv, type ErrorObject, type FormatDefinition, type ValidateFunction } from 'ajv'
import { instanceUrlFault, isRsaPrivateKey, loginUrlFault } from '../connections/credential-checks.ts'
import { controlCharacters } from '../kernel/control-characters.ts'
import { isUuid } from '../kernel/ids.ts'
import { WritebackError, type Issue } from '../kernel/errors.ts'
import { pointerTo } from '../kernel/json-pointer.ts'

/** The most issues that one answer lists. */
const MAX_ISSUES = 100

/** What the schemas' own formats depend on. */
export interface ValidationOptions {
  /** Whether http and private addresses may be named as login and instance hosts. */
  allowInsecureProviders: boolean
}

interface Format extends FormatDefinition<string> {
  /** Finishes the sentence that begins with the field. */
  says: (value: string) => string
}

const format = (validate: (value: string) => boolean, says: Format['says']): Format => ({
  type: 'string',
  validate,
  says,
})

const hasControls = (text: string): boolean => controlCharacters.test(text)
const isLine = (text: string): boolean => !hasControls(text) && text.isWellFormed() && text.trim() === text
const isName = (text: string): boolean => isLine(text) && !isUuid(text) && text !== '.' && text !== '..'
const isWebUrl = (text: string): boolean => {
  const url = URL.parse(text)
  return url !== null && /^https?:\/\//i.test(text) && url.username === '' && url.password === ''
}
const dateTime = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)$/

/** A time that is the same everywhere, of a day that there is: `Date` takes the 30th of February for a day of March. */
function isDateTime(text: string): boolean {
  const day = dateTime.exec(text)?.[1]
  return day !== undefined && !Number.isNaN(Date.parse(text)) && new Date(day).toISOString().startsWith(day)
}

function formatsFor(options: ValidationOptions): Record<string, Format> {
  const url = (fault: typeof loginUrlFault): Format => {
    const faultOf = (text: string) => fault(text, options.allowInsecureProviders)
    return format(
      (text) => faultOf(text) === null,
      (text) => faultOf(text) ?? '',
    )
  }
  return {
    uuid: format(isUuid, () => 'must be a UUID'),
    'date-time': format(isDateTime, () => 'must be an ISO 8601 date and time with its zone'),
    uri: format(
      (text) => URL.canParse(text),
      () => 'must be an absolute URI',
    ),
    'web-url': format(isWebUrl, () => 'must begin with https:// or http:// and name a host, without a user'),
    line: format(isLine, () => 'must not contain control characters, nor begin or end with a space'),
    name: format(
      isName,
      () => 'must not look like an id, contain control characters, nor begin or end with a space',
    ),
    'object-name': format(
      (text) => /^[A-Za-z][A-Za-z0-9_]*$/.test(text),
      () => 'must be an object name: letters, digits and underscores, a letter first',
    ),
    'header-token': format(
      (text) => /^[\x21-\x7e]+$/.test(text),
      () => 'must be printable ASCII without spaces',
    ),
    'login-url': url(loginUrlFault),
    'instance-url': url(instanceUrlFault),
    'rsa-private-key': format(isRsaPrivateKey, () => 'must be an RSA private key in PEM, 2,048 bits or more'),
  }
}

const typeNames: Record<string, string> = {
  string: 'text',
  object: 'an object',
  array: 'a list',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  null: 'null',
}

const listed = (values: unknown): string => (values as unknown[]).map(String).join(', ')

/** The values that the field which tells a union's variants apart may have. */
function variantsOf(error: ErrorObject, tag: string): string {
  const { oneOf } = error.parentSchema as {
    oneOf: { properties: Record<string, { const: string } | undefined> }[]
  }
  return listed(oneOf.map((variant) => variant.properties[tag]?.const))
}

/** One sentence for each keyword that our schemas use; never quotes the value, which may be a secret. */
function sentenceFor(error: ErrorObject, formats: Record<string, Format>): string {
  const params = error.params as Record<string, unknown>
  const limit = Number(params.limit)
  switch (error.keyword) {
    case 'required':
      return 'is required'
    case 'additionalProperties':
      return 'is not a known field'
    case 'type':
      return `must be ${String(params.type)
        .split(',')
        .map((type) => typeNames[type] ?? type)
        .join(' or ')}`
    case 'enum':
      return `must be one of: ${listed(params.allowedValues)}`
    case 'const':
      return `must be ${JSON.stringify(params.allowedValue)}`
    case 'discriminator':
      return `must be one of: ${variantsOf(error, String(params.tag))}`
    case 'format':
      return formats[String(params.format)]?.says(error.data as string) ?? 'has the wrong form'
    case 'minLength':
      return limit === 1 ? 'must not be empty' : `must have at least ${limit} characters`
    case 'maxLength':
      return `must have at most ${limit} characters`
    case 'minItems':
      return limit === 1 ? 'must not be empty' : `must have at least ${limit} entries`
    case 'maxItems':
      return `must have at most ${limit} entries`
    case 'minProperties':
      return `must have at least ${limit} field${limit === 1 ? '' : 's'}`
    case 'uniqueItems':
      return 'must not name anything twice'
    case 'minimum':
      return `must be at least ${limit}`
    case 'maximum':
      return `must be at most ${limit}`
    default:
      return error.message ?? 'is not valid'
  }
}

function pathOf(error: ErrorObject): string {
  const params = error.params as Record<string, unknown>
  if (error.keyword === 'required') return pointerTo(error.instancePath, String(params.missingProperty))
  if (error.keyword === 'additionalProperties')
    return pointerTo(error.instancePath, String(params.additionalProperty))
  if (error.keyword === 'discriminator') return pointerTo(error.instancePath, String(params.tag))
  // what is wrong with a member's name is said of the member
  if (error.propertyName !== undefined) return pointerTo(error.instancePath, error.propertyName)
  return error.instancePath
}

/** Errors that only repeat that another one was found. */
function isEcho(error: ErrorObject): boolean {
  if (error.keyword === 'propertyNames' || error.keyword === 'if') return true
  const { error: kind, tagValue } = error.params as { error?: string; tagValue?: unknown }
  return error.keyword === 'discriminator' && kind === 'tag' && tagValue === undefined
}

/** Turns what Ajv found into issues: each once, wrappers left out, bounded in number. */
function issuesOf(errors: ErrorObject[], prefix: string, formats: Record<string, Format>): Issue[] {
  const issues = new Map<string, Issue>()
  for (const error of errors) {
    if (issues.size === MAX_ISSUES) break
    if (isEcho(error)) continue
    const issue = { path: `${prefix}${pathOf(error)}`, message: sentenceFor(error, formats) }
    issues.set(`${issue.path}\n${issue.message}`, issue)
  }
  return [...issues.values()]
}

/** The error for a refused input. */
export function invalidInput(issues: Issue[], what = 'body'): WritebackError {
  const first = issues[0]
  const rest = issues.length > 1 ? `, and ${issues.length - 1} more` : ''
  const where = first === undefined || first.path === '' ? `the ${what}` : first.path
  const detail = `The ${what} is invalid: ${where} ${first?.message ?? 'is not valid'}${rest}.`
  return new WritebackError('INVALID_REQUEST', detail, {
    issues,
    remedy: 'Correct the fields named in issues and send the request again.',
  })
}

/** Where an issue of a part that is not the body points. */
const prefixes: Record<string, string> = { querystring: '/query', params: '/path', headers: '/headers' }
const nouns: Record<string, string> = { querystring: 'query', params: 'path', headers: 'headers' }

/** The two hooks by which Fastify validates. */
export interface Validation {
  compile: (route: { schema: unknown; httpPart?: string | undefined }) => ValidateFunction
  toError: (errors: unknown, part: string) => WritebackError
}

/** Compiles a schema once the first value comes for it: all of them together take most of a start. */
function compiledOnUse(ajv: Ajv, schema: unknown): ValidateFunction {
  let compiled: ValidateFunction | undefined
  const validate = (value: unknown): boolean => {
    compiled ??= ajv.compile(schema as object)
    const isValid = compiled(value)
    validate.errors = compiled.errors
    return isValid
  }
  validate.errors = undefined as ValidateFunction['errors']
  return validate as ValidateFunction
}

/**
 * Compiles the contract's schemas. Bodies are never coerced, completed or trimmed; texts of the query
 * and the path become the numbers and booleans they stand for. Every issue is found at once.
 */
export function createValidation(options: ValidationOptions): Validation {
  const formats = formatsFor(options)
  const make = (coerceTypes: boolean): Ajv =>
    new Ajv({
      allErrors: true,
      strict: true,
      strictRequired: false,
      allowUnionTypes: true,
      discriminator: true,
      verbose: true,
      removeAdditional: false,
      coerceTypes,
      formats,
    })
  const forBodies = make(false)
  const forTexts = make(true)
  return {
    compile: ({ schema, httpPart }) => compiledOnUse(httpPart === 'body' ? forBodies : forTexts, schema),
    toError: (errors, part) => {
      const found = errors as ErrorObject[]
      const issues = issuesOf(found, prefixes[part] ?? '', formats)
      return invalidInput(issues, nouns[part] ?? 'body')
    },
  }
}
