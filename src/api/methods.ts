import type { FastifyInstance, FastifyPluginCallback, HTTPMethods } from 'fastify'
import { WritebackError } from '../kernel/errors.ts'

const methods: HTTPMethods[] = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT']

/**
 * Answers 405 for the methods that a known path does not have. Fastify itself answers 404, which would
 * send the caller looking for a wrong path.
 *
 * Call before any route is registered.
 *
 * @returns a plugin to register after all the routes
 */
export function refuseOtherMethods(app: FastifyInstance): FastifyPluginCallback {
  const known = new Map<string, Set<string>>()
  app.addHook('onRoute', (route) => {
    const of = known.get(route.url) ?? new Set<string>()
    for (const method of [route.method].flat()) of.add(method)
    known.set(route.url, of)
  })
  return (scope, _, done) => {
    for (const [url, present] of [...known]) {
      // Of a path that stands for another, with a slash at its end, the hook is told in part only.
      for (const method of methods) if (scope.hasRoute({ url, method })) present.add(method)
      const allowed = [...present].sort().join(', ')
      const refused = methods.filter((method) => !present.has(method))
      if (refused.length === 0) continue
      scope.route({
        method: refused,
        url,
        schema: { hide: true },
        onRequest: (request, reply) => {
          reply.header('allow', allowed)
          throw new WritebackError('METHOD_NOT_ALLOWED', `${request.method} is not a method of this path.`, {
            remedy: `Use ${allowed}.`,
          })
        },
        handler: () => undefined,
      })
    }
    done()
  }
}
