import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import type { Answer, Document, DocumentedCall, MediaType, Schema } from '../../src/api/document.ts'

export type { Document, DocumentedCall, Schema }

/** A call with its method, in upper case, and its path's template, in the document's order. */
export interface DocumentedRoute {
  /** `GET /v1/projects`: how a route is named in messages. */
  name: string
  method: string
  path: string
  call: DocumentedCall
}

export const routesOf = ({ paths }: Document): DocumentedRoute[] =>
  Object.entries(paths).flatMap(([path, calls]) =>
    Object.entries(calls).map(([lower, call]) => {
      const method = lower.toUpperCase()
      return { name: `${method} ${path}`, method, path, call }
    }),
  )

/** Checks bodies against schemas that stand in a document. */
export interface BodyCheck {
  /** What is wrong with a body by a schema of the document; null when nothing is. */
  faults: (schema: Schema, body: unknown) => string | null
  /** What is wrong with a schema itself. */
  schemaFaults: (schema: Schema) => string | null
}

const formats: Record<string, RegExp | ((value: string) => boolean) | true> = {
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
  uri: (value) => URL.canParse(value),
  name: true,
  line: true,
  'object-name': true,
  'header-token': true,
  'login-url': true,
  'instance-url': true,
  'rsa-private-key': true,
}

const tell = (errors: ErrorObject[] | null | undefined): string =>
  (errors ?? []).map(({ instancePath, message = '' }) => `${instancePath || '/'} ${message}`).join('; ')

export function createBodyCheck({ components }: Document): BodyCheck {
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  for (const [name, format] of Object.entries(formats)) ajv.addFormat(name, format)
  // By their text: most routes share their errors.
  const compiled = new Map<string, ValidateFunction>()
  const { schemas } = components
  return {
    faults: (schema, body) => {
      const text = JSON.stringify(schema)
      // Pointers are into the document: its components stand beside each schema.
      const validate = compiled.get(text) ?? ajv.compile({ allOf: [schema], components: { schemas } })
      compiled.set(text, validate)
      return validate(body) ? null : tell(validate.errors)
    },
    schemaFaults: (schema) => (ajv.validateSchema(schema) === true ? null : tell(ajv.errors)),
  }
}

/** What an answer of the document says of a media type; parameters of the type do not count. */
export const mediaOf = (answer: Answer | undefined, type: string): MediaType | undefined =>
  answer?.content?.[type.split(';')[0]?.trim() ?? '']
