import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { Problem } from '../contract/problem.ts'

/** An error as an answer of the document. */
export const problemAnswer = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: { $ref: 'Problem#' } } },
})

/** Spread into the `response` of every route: any error is a problem. */
export const problems = { default: problemAnswer('An error: what was wrong and what to do.') }

/** Spread into the schema of a route that asks for no key: the document says of all others that they do. */
export const withoutKey = { security: [] }

/** Collects the routes' schemas into one OpenAPI 3.1 document. Call before the routes are registered. */
export function collectOpenapi(app: FastifyInstance, version: string): void {
  app.addSchema({ ...Problem, $id: 'Problem' })
  app.register(swagger, {
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, index) =>
        typeof $id === 'string' ? $id : `schema-${index}`,
    },
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Writeback',
        version,
        description: 'Single-record writes in, composite groups out, one recorded outcome per record.',
      },
      components: {
        securitySchemes: {
          apiKey: { type: 'apiKey', in: 'header', name: 'X-Api-Key' },
          bearer: { type: 'http', scheme: 'bearer' },
        },
      },
      security: [{ apiKey: [] }, { bearer: [] }],
    },
  })
}

/** `/openapi.json`; no key needed. */
export function openapiRoute(app: FastifyInstance): void {
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
}
