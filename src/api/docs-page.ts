import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'

/** The one inline style of Swagger UI: of its own logo, which it draws before ours takes its place. */
const ownLogoStyle = "'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='"

/** What the page may load: only from here. Swagger UI has no inline scripts; its icons are data URLs. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "base-uri 'none'",
  "connect-src 'self'",
  "font-src 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "img-src 'self' data:",
  "script-src 'self'",
  `style-src 'self' ${ownLogoStyle}`,
].join('; ')

const logo = `<svg xmlns="http://www.w3.org/2000/svg" width="180" height="40"><text x="0" y="28" font-family="sans-serif" font-size="26" font-weight="bold" fill="#ffffff">Writeback</text></svg>`

/**
 * `/docs`: the OpenAPI document as a page (contract section 7). No key needed; everything it loads is served from
 * here. It is a scope of its own, so its headers and files cost other requests nothing. Call before the routes are
 * registered.
 */
export function docsPage(app: FastifyInstance): void {
  app.register(async (scope) => {
    scope.addHook('onSend', (_, reply, payload, done) => {
      reply.header('x-content-type-options', 'nosniff').header('referrer-policy', 'no-referrer')
      done(null, payload)
    })
    await scope.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: contentSecurityPolicy,
      logo: { type: 'image/svg+xml', content: logo },
      theme: { title: 'Writeback API' },
      uiConfig: {
        deepLinking: true,
        docExpansion: 'none',
        tryItOutEnabled: false,
        persistAuthorization: false,
      },
    })
  })
}
