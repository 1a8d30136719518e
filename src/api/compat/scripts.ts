import type { FastifyReply, FastifyRequest } from 'fastify'
import type { TSchema } from 'typebox'
import type { Problem } from '../../contract/problem.ts'
import { isWritebackError, type Issue, type WritebackError } from '../../kernel/errors.ts'
import type { Answer } from '../ampersand/keyed-write.ts'

/*
 * What the calls for scripts of iDialogue rooms have in common (contract section 8): scripts look at nothing
 * but the members of an answer, so whatever comes of a call is told in these.
 */

type JsonObject = Record<string, unknown>

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
export const textOf = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' ? value : null

/** The answers of a route with one envelope, by status. */
export const inEnvelope = (schema: TSchema, texts: Record<number, string>) =>
  Object.fromEntries(
    Object.entries(texts).map(([status, description]) => [
      status,
      { description, content: { 'application/json': { schema } } },
    ]),
  )

/**
 * Options of a route that answers scripts, refusals included.
 *
 * @param errorAnswer the envelope of a call that was refused or ended without an outcome
 */
export const forScripts = (errorAnswer: (body: unknown, error: WritebackError) => Answer) => ({
  attachValidation: true,
  /** Answers in the envelope what is thrown once the body is there to be repeated. */
  errorHandler: (thrown: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const isRead = request.body !== undefined || isWritebackError(thrown, 'INVALID_REQUEST')
    if (request.access === null || !isRead) throw thrown
    const error = request.server.toError(thrown)
    request.failure = thrown
    if (error.retryAfter !== undefined) reply.header('retry-after', String(Math.ceil(error.retryAfter)))
    const { status, body } = errorAnswer(request.body, error)
    void reply.status(status).send(body)
  },
  preSerialization: (_: FastifyRequest, reply: FastifyReply, answer: unknown): Promise<unknown> =>
    Promise.resolve(
      String(reply.getHeader('content-type')).startsWith('application/problem+json')
        ? scriptProblem(answer as Problem)
        : answer,
    ),
})

/** A problem with what scripts read of an answer: without a `success` of false they would take it for one. */
const scriptProblem = (problem: Problem) => {
  const { detail, remedy } = problem
  return { ...problem, success: false, message: detail, errors: [sentences(detail, remedy)], records: [] }
}

const sentences = (message: string, remedy: string | undefined): string =>
  remedy === undefined ? message : `${message} ${remedy}`

/** All that was wrong with a call, each with its place. */
export const errorsOf = ({ issues, message, remedy }: WritebackError): string[] =>
  issues?.map(placed) ?? [sentences(message, remedy)]

/** An issue as a script shows it. */
export const placed = ({ path, message }: Issue): string => (path === '' ? message : `${path} ${message}`)

/** The request's own values that its answer repeats. */
export const echoOf = (body: unknown, names: readonly string[]): JsonObject => {
  const given = isObject(body) ? body : {}
  return Object.fromEntries(
    names.filter((name) => given[name] !== undefined).map((name) => [name, given[name]]),
  )
}

/** The group, which the query may name in place of the body. */
export function readGroup(query: unknown, own: string | null): { groupRef: string; issues: Issue[] } {
  const given = textOf((query as { groupRef?: unknown }).groupRef)
  const groupRef = own ?? given ?? ''
  if (groupRef === '')
    return { groupRef, issues: [{ path: '/groupRef', message: 'is required, here or in the query' }] }
  const differs = given !== null && given !== groupRef
  const message = 'is not the same as groupRef in the body'
  return { groupRef, issues: differs ? [{ path: '/query/groupRef', message }] : [] }
}
