import type { Schema } from './document.ts'

const byFormat: Record<string, string> = {
  uuid: '0197a3b2-6b1f-7c52-9a53-0d3f5f2b8c11',
  'date-time': '2026-01-31T12:00:00.000Z',
  uri: 'https://example.com/hook',
}

/**
 * A value that a schema takes: its own example where it has one, else one made of its parts. Of alternatives
 * it is the first; of what may be left out, what has an example or a fixed value of its own.
 */
export function exampleOf(schema: Schema): unknown {
  if (schema.examples !== undefined && schema.examples.length > 0) return schema.examples[0]
  if ('const' in schema) return schema.const
  if (schema.default !== undefined) return schema.default
  if (schema.enum !== undefined) return schema.enum[0]
  const [first] = schema.anyOf ?? schema.oneOf ?? schema.allOf ?? []
  if (first !== undefined) return exampleOf(first)
  switch (schema.type) {
    case 'object':
      return objectOf(schema)
    case 'array':
      return schema.items === undefined ? [] : [exampleOf(schema.items)]
    case 'integer':
    case 'number':
      return schema.minimum ?? 0
    case 'boolean':
      return true
    case 'string':
      return byFormat[schema.format ?? ''] ?? 'text'
    default:
      return {}
  }
}

function objectOf({ properties = {}, required = [] }: Schema): Record<string, unknown> {
  const shown = Object.entries(properties).filter(([name]) => required.includes(name))
  return Object.fromEntries(shown.map(([name, member]) => [name, exampleOf(member)]))
}
