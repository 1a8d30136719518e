import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { Problem } from '../contract/problem.ts'
import { wantedBy } from './auth.ts'
import type { Document } from './document.ts'
import { completeDocument } from './document-complete.ts'

/** An error as an answer of the document. */
export const problemAnswer = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: { $ref: 'Problem#' } } },
})

/** Spread into the `response` of every route: any error is a problem. */
export const problems = { default: problemAnswer('An error: what was wrong and what to do.') }

/** Spread into the schema of a route that asks for no key: the document says of all others that they do. */
export const withoutKey = { security: [] }

const description = `Writeback takes single records by HTTP, keeps them in a queue, sends them to Salesforce in groups that share an API call, and records one outcome for each.

Every call but those of health needs a key, as \`X-Api-Key\` or as a bearer token. A project's key sees that project only: what is another's answers 404, as if it did not exist.

Every error that is not a write's own outcome is \`application/problem+json\` (RFC 9457) with a \`code\` that never changes its meaning, \`detail\` (what was wrong), \`remedy\` (what to do) and \`retryable\`. A refused input names all of its issues at once. Any call may also be answered with what its default answer stands for: 405 for a method that the path does not have, 408 when the request took too long to arrive, 500 for a fault of the service.`

/** What a route wants of its caller, as the document says it. */
function scopeOf(onRequest: unknown): Record<string, readonly string[]> {
  const wanted = wantedBy([onRequest].flat().filter((hook) => typeof hook === 'function'))
  return wanted === null ? {} : { 'x-required-scopes': [wanted].flat() }
}

/** Collects the routes' schemas into one OpenAPI 3.1 document. Call before the routes are registered. */
export function collectOpenapi(app: FastifyInstance, version: string): void {
  app.addSchema({ ...Problem, $id: 'Problem' })
  app.register(swagger, {
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, index) =>
        typeof $id === 'string' ? $id : `schema-${index}`,
    },
    transform: ({ schema, url, route }) => ({ schema: { ...schema, ...scopeOf(route.onRequest) }, url }),
    transformObject: (made) =>
      'openapiObject' in made
        ? (completeDocument(made.openapiObject as unknown as Document) as object)
        : made,
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Writeback',
        version,
        summary: 'Single-record writes in, composite groups out, one recorded outcome per record.',
        description,
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/', description: 'The service that serves this document.' }],
      components: {
        securitySchemes: {
          apiKey: {
            type: 'apiKey',
            in: 'header',
            name: 'X-Api-Key',
            description: 'The key of a project, or the operator’s admin key.',
          },
          bearer: { type: 'http', scheme: 'bearer', description: 'The same key as a bearer token.' },
        },
      },
      security: [{ apiKey: [] }, { bearer: [] }],
    },
  })
}

/** `/openapi.json`; no key needed. */
export function openapiRoute(app: FastifyInstance): void {
  // Made into text once: it is long, and anybody may ask for it.
  let text: string | null = null
  app.get('/openapi.json', { schema: { hide: true } }, (_, reply) => {
    text ??= JSON.stringify(app.swagger())
    return reply.type('application/json; charset=utf-8').send(text)
  })
}
