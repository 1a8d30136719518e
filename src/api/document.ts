/** The parts of an OpenAPI 3.1 document that are read and completed here. */
export interface Document {
  openapi: string
  paths: Record<string, Record<string, DocumentedCall>>
  /** Calls that the service makes itself. */
  webhooks?: Record<string, Record<string, DocumentedCall>>
  components: {
    schemas: Record<string, Schema>
    examples?: Record<string, Example>
    headers?: Record<string, Header>
  }
  tags?: { name: string; description: string }[]
}

/** One call. */
export interface DocumentedCall {
  operationId?: string
  summary?: string
  description?: string
  tags?: string[]
  security?: unknown[]
  parameters?: Parameter[]
  requestBody?: { required?: boolean; content: Content }
  responses: Record<string, Answer>
  /** A key needs one of these; `operator` is the admin key. */
  'x-required-scopes'?: string[]
}

/** One parameter of a path, a query or a header. */
export interface Parameter {
  name: string
  in: 'path' | 'query' | 'header'
  required?: boolean
  description?: string
  schema: Schema
}

/** One answer, by its status. */
export interface Answer {
  description: string
  headers?: Record<string, Header | Reference>
  content?: Content
}

/** Bodies by media type. */
export type Content = Record<string, MediaType>

/** One body. */
export interface MediaType {
  schema?: Schema
  example?: unknown
  examples?: Record<string, Example | Reference>
}

/** A value that a body may have. */
export interface Example {
  summary?: string
  value: unknown
}

/** A header of an answer. */
export interface Header {
  description: string
  schema: Schema
}

/** A pointer to a component. */
export interface Reference {
  $ref: string
}

/** The part of JSON Schema that is looked into. */
export interface Schema {
  $ref?: string
  title?: string
  description?: string
  type?: string
  format?: string
  const?: unknown
  enum?: unknown[]
  default?: unknown
  examples?: unknown[]
  anyOf?: Schema[]
  oneOf?: Schema[]
  allOf?: Schema[]
  properties?: Record<string, Schema>
  required?: string[]
  additionalProperties?: boolean | Schema
  items?: Schema
  minimum?: number
}
