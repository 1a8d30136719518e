import { isAscii } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { fastify, type FastifyInstance, type FastifyPluginAsync, type FastifyRequest } from 'fastify'
import type { Setup } from '../connections/setup.ts'
import { systemClock, type Clock } from '../kernel/clock.ts'
import { WritebackError } from '../kernel/errors.ts'
import { newId } from '../kernel/ids.ts'
import type { Logger } from '../kernel/log.ts'
import { noTelemetry, type Telemetry } from '../kernel/telemetry.ts'
import { adminRoutes } from './admin/routes.ts'
import type { AccessPort } from './auth.ts'
import {
  answerClientError,
  bodyTooLarge,
  createErrorHandler,
  toWritebackError,
  unsupportedMediaType,
} from './error-handler.ts'
import { healthRoutes, type HealthPort } from './health.ts'
import { isPlain, isUtf8Declared, parseJson } from './json-body.ts'
import { refuseOtherMethods } from './methods.ts'
import { docsPage } from './docs-page.ts'
import { collectOpenapi, openapiRoute } from './openapi.ts'
import { createValidation, type Validation } from './validation.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** How bodies are validated, for a route that reads its body by itself. */
    validation: Validation
    /** What the caller is told of anything thrown, for a route whose answer holds several errors. */
    toError: (thrown: unknown) => WritebackError
  }
}

/** Largest body of a call, in bytes (contract section 3). */
export const BODY_LIMIT = 6 * 1024 * 1024

/** Longest part of a path: a name of 255 characters, each percent-encoded. */
const MAX_PATH_PART = 255 * 12

/** How long a client may take, in milliseconds. Answers may take longer: these bound what arrives. */
const timeouts = {
  /** For the headers. */
  headers: 10_000,
  /** For the whole request, its body included. */
  request: 60_000,
  /** Between two requests of a connection; longer than the usual load balancer's 60 s. */
  keepAlive: 72_000,
  /** How often the two above are looked at. */
  checked: 2_000,
}

/** The calls of a process that takes them; a worker has none. */
export interface ApiOptions {
  access: AccessPort
  setup: Setup
  /** Allows http and private addresses as login and instance hosts. */
  allowInsecureProviders: boolean
  /** Further routes, each a plugin: the write call, operations. */
  routes?: FastifyPluginAsync[]
  /** Pages for people, outside the API. */
  pages?: FastifyPluginAsync
}

export interface ServerOptions {
  logger: Logger
  health: HealthPort
  /** Tells the database's absence from our mistakes. */
  isDatabaseUnavailable: (error: unknown) => boolean
  /** Null for a process that serves nothing but its health. */
  api: ApiOptions | null
  /** Version of the service, for its OpenAPI. */
  version: string
  clock?: Clock
  telemetry?: Pick<Telemetry, 'answered' | 'problem'>
  timeouts?: Partial<typeof timeouts>
}

const saneRequestId = /^[A-Za-z0-9._:@/+=-]{1,128}$/

/** The caller's own X-Request-Id where it is fit for headers and logs, else one of ours. */
function requestIdOf(headers: NodeJS.Dict<string | string[]>): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && saneRequestId.test(given) ? given : newId()
}

/** A path as it may be logged: that of a page by which an org is connected is a secret. */
const shownPath = (url: string): string => {
  const [path = ''] = url.split('?', 1)
  return /^\/v1\//.test(path) || !/connect/i.test(path) ? path : '/connect/…'
}

/** One line per request: a warning when we failed, otherwise for those who debug. Never the query, which is the caller's. */
function logRequest(logger: Logger, request: FastifyRequest, status: number, durationMs: number): void {
  const line = {
    requestId: request.id,
    method: request.method,
    route: request.routeOptions.url,
    path: shownPath(request.url),
    status,
    durationMs: Math.round(durationMs),
  }
  if (status >= 500) logger.warn({ ...line, err: request.failure }, 'request failed')
  else logger.debug(line, 'request')
}

/** Hooks of every request: refuse what can be refused before the body is read, log when all is done. */
function addHooks(app: FastifyInstance, logger: Logger, telemetry: Pick<Telemetry, 'answered'>): void {
  app.decorateRequest('access', null)
  app.decorateRequest('failure', null)
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id)
    if (request.is404)
      throw new WritebackError('NOT_FOUND', 'There is nothing at this path.', { remedy: 'Check the path.' })
    if (Number(request.headers['content-length'] ?? 0) > request.routeOptions.bodyLimit) throw bodyTooLarge()
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    logRequest(logger, request, reply.statusCode, reply.elapsedTime)
    const route = request.routeOptions.url ?? null
    telemetry.answered(request.method, route, reply.statusCode, reply.elapsedTime / 1000)
    done()
  })
}

/**
 * Ends connections that never carried a request once the server closes. Node counts them as busy, so
 * one client that connects ahead of need would hold up every stop for the whole of its time.
 */
function endUnusedConnections(app: FastifyInstance): void {
  const unused = new Set<Socket>()
  app.server.on('connection', (socket: Socket) => {
    unused.add(socket)
    socket.once('close', () => unused.delete(socket))
  })
  app.server.on('request', (request: IncomingMessage) => unused.delete(request.socket))
  app.addHook('preClose', (done) => {
    for (const socket of unused) socket.destroy()
    done()
  })
}

/** JSON only, parsed by us: Fastify's own parser refuses members that are mere data here. */
function takeJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (!isPlain(request.headers['content-encoding'])) throw unsupportedMediaType()
    if (!isUtf8Declared(request.headers['content-type']) && !isAscii(body as Buffer))
      throw unsupportedMediaType()
    done(null, parseJson(body as Buffer))
  })
}

function newFastify(options: ServerOptions, errorHandler: ReturnType<typeof createErrorHandler>) {
  const limits = { ...timeouts, ...options.timeouts }
  return fastify({
    logger: false,
    genReqId: (request) => requestIdOf(request.headers),
    bodyLimit: BODY_LIMIT,
    requestTimeout: limits.request,
    keepAliveTimeout: limits.keepAlive,
    http: { headersTimeout: limits.headers, connectionsCheckingInterval: limits.checked },
    // requests that arrive on open connections during the drain are served, and their connections closed
    return503OnClosing: false,
    routerOptions: { maxParamLength: MAX_PATH_PART },
    frameworkErrors: errorHandler,
    clientErrorHandler: answerClientError,
  })
}

/**
 * Builds the HTTP server: every role's health routes and, for those that take calls, the API. Nothing
 * listens yet; `listen` or `inject` start it.
 */
export function createServer(options: ServerOptions): FastifyInstance {
  const { logger, api, clock = systemClock, telemetry = noTelemetry } = options
  const { isDatabaseUnavailable } = options
  const errorHandler = createErrorHandler({
    isDatabaseUnavailable,
    now: () => clock.now(),
    onProblem: (code) => telemetry.problem(code),
  })
  const app = newFastify(options, errorHandler)
  const validation = createValidation({ allowInsecureProviders: api?.allowInsecureProviders ?? false })
  app.decorate('validation', validation)
  app.decorate('toError', (thrown: unknown) => {
    const error = toWritebackError(thrown, isDatabaseUnavailable)
    telemetry.problem(error.code)
    return error
  })
  app.setErrorHandler(errorHandler)
  app.setValidatorCompiler(validation.compile)
  app.setSchemaErrorFormatter(validation.toError)
  // response schemas document; an answer is sent whole, as its maker built it
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer))
  takeJson(app)
  addHooks(app, logger, telemetry)
  endUnusedConnections(app)
  const refuseTheRest = refuseOtherMethods(app)
  if (api !== null) addApi(app, api, options.version)
  app.register((scope, _, done) => {
    healthRoutes(scope, options.health)
    done()
  })
  app.register(refuseTheRest)
  return app
}

function addApi(app: FastifyInstance, api: ApiOptions, version: string): void {
  app.decorate('access', api.access)
  collectOpenapi(app, version)
  docsPage(app)
  app.register((scope, _, done) => {
    openapiRoute(scope)
    done()
  })
  app.register(adminRoutes(api.setup), { prefix: '/v1' })
  for (const routes of api.routes ?? []) app.register(routes, { prefix: '/v1' })
  if (api.pages !== undefined) app.register(api.pages)
}
