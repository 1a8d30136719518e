import fc from 'fast-check'

/** The part of JSON Schema that the OpenAPI document uses. */
export interface Schema {
  $ref?: string
  type?: string | string[]
  title?: string
  enum?: unknown[]
  const?: unknown
  oneOf?: Schema[]
  anyOf?: Schema[]
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: boolean | Schema
  items?: Schema
  minItems?: number
  maxItems?: number
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  format?: string
}

/** Values for what no schema can say: by the name of the member, by `format …` or by `title …`. */
export type Known = Record<string, fc.Arbitrary<unknown>>

const plainText = fc.stringMatching(/^[A-Za-z][A-Za-z0-9 ]{0,20}[a-z]$/)

function textOf({ format, minLength = 0, maxLength = 40 }: Schema, known: Known): fc.Arbitrary<unknown> {
  const wanted = format === undefined ? undefined : known[`format ${format}`]
  if (wanted !== undefined) return wanted
  if (format === 'uuid') return fc.uuid()
  if (format === 'object-name') return fc.stringMatching(/^[A-Za-z][A-Za-z0-9_]{0,20}$/)
  if (format === 'name' || format === 'line') return plainText
  if (format === 'header-token') return fc.stringMatching(/^[!-~]{1,40}$/)
  return fc.string({ minLength, maxLength: Math.min(maxLength, 40) })
}

function objectOf(schema: Schema, known: Known): fc.Arbitrary<unknown> {
  const properties = Object.entries(schema.properties ?? {})
  const members = Object.fromEntries(
    properties.map(([name, member]) => [name, known[name] ?? arbitraryOf(member, known)]),
  )
  const { additionalProperties: others } = schema
  if (properties.length > 0)
    return fc.record(members, { requiredKeys: (schema.required ?? []).filter((name) => name in members) })
  const entry = typeof others === 'object' ? arbitraryOf(others, known) : fc.jsonValue({ maxDepth: 2 })
  return fc.dictionary(fc.stringMatching(/^[A-Z][a-z]{1,8}(__c)?$/), entry, { maxKeys: 4 })
}

/** Values that a schema takes, as far as it says what it takes. */
export function arbitraryOf(schema: Schema, known: Known): fc.Arbitrary<unknown> {
  const titled = known[`title ${schema.title ?? ''}`]
  if (titled !== undefined) return titled
  const variants = schema.oneOf ?? schema.anyOf
  if (variants !== undefined) return fc.oneof(...variants.map((variant) => arbitraryOf(variant, known)))
  if ('const' in schema) return fc.constant(schema.const)
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
  switch (schema.type) {
    case 'string':
      return textOf(schema, known)
    case 'integer':
      return fc.integer({ min: schema.minimum ?? -100, max: schema.maximum ?? 100 })
    case 'number':
      return fc.double({ min: schema.minimum ?? 0, max: schema.maximum ?? 100, noNaN: true })
    case 'boolean':
      return fc.boolean()
    case 'array':
      return fc.array(arbitraryOf(schema.items ?? {}, known), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(schema.maxItems ?? 3, 5),
      })
    case 'object':
      return objectOf(schema, known)
    default:
      return fc.jsonValue({ maxDepth: 2 })
  }
}
