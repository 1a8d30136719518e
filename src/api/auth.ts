import type { FastifyRequest } from 'fastify'
import type { Caller, IntegrationRef, ProjectRef } from '../connections/directory.ts'
import type { Scope } from '../contract/api-keys.ts'
import { WritebackError } from '../kernel/errors.ts'

/** The part of the directory that decides who may do what. */
export interface AccessPort {
  authenticate(key: string): Promise<Caller | null>
  project(idOrName: string): Promise<ProjectRef | null>
  integration(projectId: string, idOrName: string): Promise<IntegrationRef | null>
}

/** Who calls, and what the path names. */
export interface Access {
  caller: Caller
  project: ProjectRef | null
  integration: IntegrationRef | null
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Decides who may do what; set by createServer. */
    access: AccessPort
  }
  interface FastifyRequest {
    /** Set by {@link requireScope} and {@link requireAdmin}. */
    access: Access | null
    /** What was thrown, for the request's log line. */
    failure: unknown
  }
}

const bearerPattern = /^bearer +(\S+) *$/i

/** The key that a request carries; X-Api-Key counts when both headers are there. */
export function keyOf(headers: FastifyRequest['headers']): string | null {
  const own = headers['x-api-key']
  if (typeof own === 'string' && own !== '') return own.trim()
  return bearerPattern.exec(headers.authorization ?? '')?.[1] ?? null
}

async function authenticate(request: FastifyRequest): Promise<Caller> {
  const key = keyOf(request.headers)
  const caller = key === null ? null : await request.server.access.authenticate(key)
  if (caller !== null) return caller
  const detail = key === null ? 'The request carries no API key.' : 'The API key is not valid.'
  throw new WritebackError('UNAUTHENTICATED', detail, {
    remedy: 'Send a valid key as X-Api-Key or as Authorization: Bearer.',
  })
}

/** One sentence for what is not there and for what is another project's: the two must not be told apart. */
const notFound = (what: string, name: string): WritebackError =>
  new WritebackError('NOT_FOUND', `There is no ${what} ${JSON.stringify(name.slice(0, 255))}.`, {
    remedy: 'Check the path and the key.',
  })

/** Finds the path's project; a project key finds its own and nothing else, without a look at others'. */
async function findProject(access: AccessPort, caller: Caller, idOrName: string): Promise<ProjectRef> {
  const found = await access.project(caller.kind === 'admin' ? idOrName : caller.projectId)
  const isMeant =
    found !== null &&
    (caller.kind === 'admin' || found.name === idOrName || found.id === idOrName.toLowerCase())
  if (!isMeant) throw notFound('project', idOrName)
  return found
}

/**
 * Wants one of the scopes of a caller; the admin key has them all.
 *
 * @throws {WritebackError} FORBIDDEN
 */
export function checkScope(caller: Caller, scopes: readonly Scope[]): void {
  if (caller.kind === 'admin' || scopes.some((scope) => caller.scopes.has(scope))) return
  throw new WritebackError('FORBIDDEN', `The key lacks the scope ${scopes.join(' or ')}.`, {
    remedy: 'Use a key that has it.',
  })
}

/**
 * An onRequest hook: authenticates, finds what the path's `{project}` and `{integration}` name, and
 * wants one of the scopes (contract section 2). The admin key passes everywhere. Runs before the body
 * is read; leaves {@link Access} on the request.
 *
 * @throws {WritebackError} UNAUTHENTICATED, NOT_FOUND, FORBIDDEN, in this order
 */
export function requireScope(...scopes: [Scope, ...Scope[]]) {
  const hook = async (request: FastifyRequest): Promise<void> => {
    const { access } = request.server
    const caller = await authenticate(request)
    const path = request.params as { project?: string; integration?: string }
    const project = path.project === undefined ? null : await findProject(access, caller, path.project)
    checkScope(caller, scopes)
    let integration: IntegrationRef | null = null
    if (project !== null && path.integration !== undefined) {
      integration = await access.integration(project.id, path.integration)
      if (integration === null) throw notFound('integration', path.integration)
    }
    request.access = { caller, project, integration }
  }
  scopesByHook.set(hook, scopes)
  return hook
}

/** The scopes that each hook wants, for the document. */
const scopesByHook = new WeakMap<object, readonly Scope[]>()

/** What a route's hooks want of its caller: one of some scopes, the operator's key, or null for nothing. */
export function wantedBy(hooks: readonly object[]): readonly Scope[] | 'operator' | null {
  if (hooks.includes(requireAdmin)) return 'operator'
  for (const hook of hooks) {
    const scopes = scopesByHook.get(hook)
    if (scopes !== undefined) return scopes
  }
  return null
}

/** An onRequest hook: wants the operator's key. */
export async function requireAdmin(request: FastifyRequest): Promise<void> {
  const caller = await authenticate(request)
  if (caller.kind !== 'admin')
    throw new WritebackError('FORBIDDEN', 'Only the admin key may do this.', { remedy: 'Use the admin key.' })
  request.access = { caller, project: null, integration: null }
}

/** Who calls. For routes behind {@link requireScope} or {@link requireAdmin}. */
export function callerOf(request: FastifyRequest): Caller {
  if (request.access === null) throw new WritebackError('INTERNAL', 'The route has no caller')
  return request.access.caller
}

/** The project that the path names. For routes behind {@link requireScope} with `{project}` in the path. */
export function projectOf(request: FastifyRequest): ProjectRef {
  const project = request.access?.project
  if (!project) throw new WritebackError('INTERNAL', 'The route has no project')
  return project
}

/** The integration that the path names. For routes behind {@link requireScope} with `{integration}` in the path. */
export function integrationOf(request: FastifyRequest): IntegrationRef {
  const integration = request.access?.integration
  if (!integration) throw new WritebackError('INTERNAL', 'The route has no integration')
  return integration
}
