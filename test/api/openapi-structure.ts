/*
 * The structure that OpenAPI 3.1 asks of a document, as a JSON Schema: of the objects that ours uses, each with
 * all of its fields, so that a field that is misspelt or stands in the wrong place is found.
 */

const text = { type: 'string' }
const nonEmpty = { type: 'string', minLength: 1 }
const ref = (name: string) => ({ $ref: `#/$defs/${name}` })
const mapOf = (values: object, keys?: object) => ({
  type: 'object',
  additionalProperties: values,
  ...(keys && { propertyNames: keys }),
})
const exact = (properties: Record<string, object>, required: string[] = []) => ({
  type: 'object',
  properties,
  required,
  patternProperties: { '^x-': {} },
  additionalProperties: false,
})
const orReference = (name: string) => ({
  if: { type: 'object', required: ['$ref'] },
  then: exact({ $ref: nonEmpty, summary: text, description: text }, ['$ref']),
  else: ref(name),
})
const componentName = { pattern: '^[a-zA-Z0-9._-]+$' }
const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace']

export const documentStructure = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  ...exact(
    {
      openapi: { type: 'string', pattern: String.raw`^3\.1\.\d+$` },
      info: ref('info'),
      jsonSchemaDialect: text,
      servers: { type: 'array', items: ref('server') },
      paths: mapOf(ref('path'), { pattern: '^/' }),
      webhooks: mapOf(ref('path')),
      components: ref('components'),
      security: { type: 'array', items: mapOf({ type: 'array', items: text }) },
      tags: {
        type: 'array',
        items: exact({ name: nonEmpty, description: text, externalDocs: {} }, ['name']),
      },
      externalDocs: {},
    },
    ['openapi', 'info', 'paths'],
  ),
  $defs: {
    info: exact(
      {
        title: nonEmpty,
        summary: text,
        description: text,
        termsOfService: text,
        contact: exact({ name: text, url: text, email: text }),
        license: exact({ name: nonEmpty, identifier: text, url: text }, ['name']),
        version: nonEmpty,
      },
      ['title', 'version'],
    ),
    server: exact({ url: nonEmpty, description: text, variables: {} }, ['url']),
    components: exact({
      schemas: mapOf(ref('schema'), componentName),
      responses: mapOf(orReference('response'), componentName),
      parameters: mapOf(orReference('parameter'), componentName),
      examples: mapOf(orReference('example'), componentName),
      requestBodies: mapOf(orReference('requestBody'), componentName),
      headers: mapOf(orReference('header'), componentName),
      securitySchemes: mapOf(ref('securityScheme'), componentName),
      links: {},
      callbacks: {},
      pathItems: {},
    }),
    path: exact({
      summary: text,
      description: text,
      parameters: { type: 'array', items: orReference('parameter') },
      ...Object.fromEntries(methods.map((method) => [method, ref('operation')])),
    }),
    operation: exact(
      {
        tags: { type: 'array', items: nonEmpty },
        summary: nonEmpty,
        description: text,
        externalDocs: {},
        operationId: nonEmpty,
        parameters: { type: 'array', items: orReference('parameter') },
        requestBody: orReference('requestBody'),
        responses: {
          type: 'object',
          minProperties: 1,
          patternProperties: {
            '^[1-5](\\d\\d|XX)$': orReference('response'),
            '^default$': orReference('response'),
          },
          additionalProperties: false,
        },
        callbacks: {},
        deprecated: { type: 'boolean' },
        security: { type: 'array', items: mapOf({ type: 'array', items: text }) },
        servers: { type: 'array', items: ref('server') },
      },
      ['responses'],
    ),
    parameter: {
      ...exact(
        {
          name: nonEmpty,
          in: { enum: ['query', 'header', 'path', 'cookie'] },
          description: text,
          required: { type: 'boolean' },
          deprecated: { type: 'boolean' },
          allowEmptyValue: { type: 'boolean' },
          style: text,
          explode: { type: 'boolean' },
          allowReserved: { type: 'boolean' },
          schema: ref('schema'),
          example: {},
          examples: mapOf(orReference('example')),
        },
        ['name', 'in', 'schema'],
      ),
      if: { properties: { in: { const: 'path' } } },
      then: { required: ['required'], properties: { required: { const: true } } },
    },
    requestBody: exact(
      { description: text, content: mapOf(ref('mediaType')), required: { type: 'boolean' } },
      ['content'],
    ),
    response: exact(
      {
        description: nonEmpty,
        headers: mapOf(orReference('header')),
        content: mapOf(ref('mediaType')),
        links: {},
      },
      ['description'],
    ),
    mediaType: {
      ...exact({ schema: ref('schema'), example: {}, examples: mapOf(orReference('example')), encoding: {} }),
      not: { required: ['example', 'examples'] },
    },
    example: exact({ summary: text, description: text, value: {}, externalValue: text }),
    header: exact({
      description: text,
      required: { type: 'boolean' },
      deprecated: { type: 'boolean' },
      schema: ref('schema'),
      example: {},
      examples: mapOf(orReference('example')),
    }),
    securityScheme: {
      ...exact(
        {
          type: { enum: ['apiKey', 'http', 'mutualTLS', 'oauth2', 'openIdConnect'] },
          description: text,
          name: nonEmpty,
          in: { enum: ['query', 'header', 'cookie'] },
          scheme: nonEmpty,
          bearerFormat: text,
          flows: {},
          openIdConnectUrl: text,
        },
        ['type'],
      ),
    },
    // What a schema is, the dialect's own meta-schema says.
    schema: { type: ['object', 'boolean'] },
  },
}
