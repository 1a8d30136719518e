import { Ajv, type ValidateFunction } from 'ajv'
import type { Schema } from './from-schema.ts'

interface Content {
  content?: Record<string, { schema: Schema }>
}

/** One call of the OpenAPI document. */
export interface Operation {
  requestBody?: Content
  parameters?: { name: string; in: 'path' | 'query' | 'header'; schema: Schema }[]
  responses: Record<string, Content>
}

export interface OpenapiDocument {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

/** The document as a running service serves it. */
export async function readDocument(url: string): Promise<OpenapiDocument> {
  return (await (await fetch(`${url}/openapi.json`)).json()) as OpenapiDocument
}

/** A call with its method and its path's template, in the document's order. */
export interface Route {
  method: string
  path: string
  operation: Operation
}

export const routesOf = ({ paths }: OpenapiDocument): Route[] =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  )

/** Says what is wrong with an answer's body by the document, or null. */
export type AnswerCheck = (route: Route | null, status: number, type: string, body: unknown) => string | null

/** Compares answers with the schemas that the document has for their status and type. */
export function createAnswerCheck({ components }: OpenapiDocument): AnswerCheck {
  const ajv = new Ajv({ strict: false, allErrors: true })
  ajv.addFormat('uuid', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  ajv.addFormat('uri', (text) => URL.canParse(text))
  for (const name of ['name', 'line', 'object-name', 'login-url', 'instance-url']) ajv.addFormat(name, true)
  const problem = components.schemas['Problem']!
  const compiled = new Map<Schema, ValidateFunction>()
  const resolve = (schema: Schema): Schema => (schema.$ref === undefined ? schema : problem)

  return (route, status, type, body) => {
    const { responses = {} } = route?.operation ?? {}
    const described = responses[String(status)]?.content ?? responses['default']?.content
    const isProblem = type === 'application/problem+json'
    const given = isProblem ? problem : described?.[type]?.schema
    if (given === undefined) return `the document has no ${status} ${type}`
    const schema = resolve(given)
    const validate = compiled.get(schema) ?? ajv.compile(schema)
    compiled.set(schema, validate)
    return validate(body) ? null : ajv.errorsText(validate.errors)
  }
}
