import type { FastifyRequest } from 'fastify'
import { isWritebackError, type Issue } from '../kernel/errors.ts'

/** What the schema found wrong with a request, for a route that names it together with what no schema can say. */
export function schemaIssuesOf(request: FastifyRequest): Issue[] {
  const failure: unknown = request.validationError
  if (failure !== undefined && !isWritebackError(failure)) throw failure as Error
  return [...(failure?.issues ?? [])]
}

/** Adds what is said of places of which nothing is said yet: the schema's word comes first. */
export function addIssues(issues: Issue[], more: readonly Issue[]): void {
  const places = new Set(issues.map(({ path }) => path))
  issues.push(...more.filter(({ path }) => !places.has(path)))
}

/** The first word that is said of each place. */
export function eachPlaceOnce(issues: readonly Issue[]): Issue[] {
  const places = new Set<string>()
  return issues.filter(({ path }) => {
    const isFirst = !places.has(path)
    places.add(path)
    return isFirst
  })
}
