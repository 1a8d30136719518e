import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Actions } from '../../actions/actions.ts'
import { statementFault, MAX_SOQL } from '../../actions/soql-statement.ts'
import { insertVariables } from '../../actions/soql-variables.ts'
import {
  CustomCallAnswer,
  CustomCallRequest,
  QueryAnswer,
  QueryRequest,
} from '../../contract/callers-reads.ts'
import { IntegrationPath } from '../../contract/fields.ts'
import { PromoteHeaders } from '../../contract/operate.ts'
import { readVariables } from '../../ingest/rules/variables.ts'
import type { TargetInstallation } from '../../ingest/write-body.ts'
import type { Issue } from '../../kernel/errors.ts'
import { callerOf, checkScope, integrationOf, requireScope } from '../auth.ts'
import { findInstallation } from '../ampersand/make-write.ts'
import { readCallHeaders } from '../ampersand/write-request.ts'
import { problems } from '../openapi.ts'
import { invalidInput } from '../validation.ts'
import { isReadMethod, readCustomCall } from './custom-call-body.ts'
import { addIssues, schemaIssuesOf } from '../issues.ts'

/** What the calls that read need of the floors below. */
export interface ReadPort {
  actions: Pick<Actions, 'query' | 'call'>
  /** The installation of a group in an integration; null when there is none. */
  installation: (integrationId: string, groupRef: string) => Promise<TargetInstallation | null>
}

const tags = ['Reading from the org']
const base = '/projects/:project/integrations/:integration/actions'

const queryDescription = `Runs one SELECT and answers with its first page; \`nextRecordsUrl\` of a page asks for the next one. It is a call of the org's API, at once: nothing of it is queued or recorded.

A query that the provider refuses is a 400 with the provider's code and words. \`FOR UPDATE\`, \`FOR VIEW\`, \`FOR REFERENCE\`, \`UPDATE TRACKING\` and \`UPDATE VIEWSTAT\` are refused: they do more than read.`

const callDescription = `Makes a call of the connected instance's own REST API and answers 200 with the provider's status, headers and body, whatever the status is. No other host is called, and no redirect followed. An answer may have 16 MB.

It does not go through the queue: it has no operation, keeps no order with queued writes to the same record, and no field rules apply to it. What the installation's configuration says of objects holds all the same: a delete needs the object's \`deletionSettings.enabled\`; where \`objects\` are listed, a write needs its object among them, and a call that may write what cannot be told is refused (403).

When the answer of a call is lost that may have written, the problem's code is \`OUTCOME_UNKNOWN\`: it may have been carried out.`

/** The query and the custom API call of Callers (contract section 8). */
export function callersReadRoutes(port: ReadPort): FastifyPluginAsync {
  return (app) => {
    app.post(
      `${base}/query`,
      {
        onRequest: requireScope('read'),
        attachValidation: true,
        schema: {
          operationId: 'query',
          summary: 'Query an org',
          description: queryDescription,
          tags,
          params: IntegrationPath,
          headers: PromoteHeaders,
          body: QueryRequest,
          response: { 200: QueryAnswer, ...problems },
        },
      },
      (request, reply) => runQuery(port, request, reply),
    )
    app.post(
      `${base}/custom-api-call`,
      {
        // Whatever it does, it shows what the org answers.
        onRequest: requireScope('read'),
        attachValidation: true,
        schema: {
          operationId: 'callApi',
          summary: 'Make a call of an org’s own API',
          description: callDescription,
          tags,
          params: IntegrationPath,
          headers: PromoteHeaders,
          body: CustomCallRequest,
          response: { 200: CustomCallAnswer, ...problems },
        },
      },
      (request, reply) => runCall(port, request, reply),
    )
    return Promise.resolve()
  }
}

async function runQuery(port: ReadPort, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { groupRef, soql, ...rest } = (request.body ?? {}) as QueryRequest
  const page = await fetchPage(port, request, groupRef, { name: 'soql', text: soql, ...rest })
  return reply.type('application/json; charset=utf-8').send(page)
}

/** A query as the body of a call gives it, checked or not. */
export interface GivenQuery extends Pick<QueryRequest, 'nextRecordsUrl' | 'variables'> {
  /** The member of the body that holds the statement. */
  name: string
  text: string | undefined
}

/**
 * The page of a query that a call asks for: its JSON text, in which no number has lost a digit.
 *
 * @param found issues that the call has besides those of its schema, its headers and its query
 * @throws {WritebackError} INVALID_REQUEST with every issue, NOT_FOUND, and what the action throws
 */
export async function fetchPage(
  port: ReadPort,
  request: FastifyRequest,
  groupRef: string,
  given: GivenQuery,
  found: readonly Issue[] = [],
): Promise<string> {
  const issues = schemaIssuesOf(request)
  const { timeMs, issues: headerIssues } = readCallHeaders(request)
  const read = readQuery(given)
  addIssues(issues, [...found, ...read.issues, ...headerIssues])
  if (issues.length > 0) throw invalidInput(issues)
  const target = await findInstallation(port, integrationOf(request).id, groupRef)
  const page = await port.actions.query(target, read.asked, timeMs, `/${given.name}`)
  return page.json
}

/** What to ask for; with issues, nothing. */
function readQuery({ name, text, nextRecordsUrl, variables: given }: GivenQuery) {
  const { variables, issues } = readVariables(given)
  const path = `/${name}`
  const asked = { soql: '' }
  if (text === undefined && nextRecordsUrl === undefined)
    issues.push({ path, message: 'is required, or nextRecordsUrl' })
  if (text !== undefined && nextRecordsUrl !== undefined)
    issues.push({ path: '/nextRecordsUrl', message: `must not be given together with ${name}` })
  if (typeof nextRecordsUrl === 'string')
    return { asked: { nextRecordsUrl }, issues: [...issues, ...pageIssues(nextRecordsUrl)] }
  if (typeof text !== 'string') return { asked, issues }
  const values = variables === null ? null : new Map([...variables].map(([key, { value }]) => [key, value]))
  const inserted = insertVariables(text, values, path, MAX_SOQL)
  issues.push(...inserted.issues)
  const fault = inserted.issues.length > 0 ? null : statementFault(inserted.soql)
  if (fault !== null) issues.push({ path, message: fault })
  return { asked: { soql: inserted.soql }, issues }
}

const pageIssues = (nextRecordsUrl: string): Issue[] =>
  /^\/services\/data\/v\d{2,3}\.\d\/query\/[A-Za-z0-9_-]{1,100}$/.test(nextRecordsUrl)
    ? []
    : [{ path: '/nextRecordsUrl', message: 'must be the nextRecordsUrl of a page, as it was given' }]

async function runCall(port: ReadPort, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const body = (request.body ?? {}) as Partial<CustomCallRequest>
  const isRead = isReadMethod(body.method)
  if (!isRead) checkScope(callerOf(request), ['write'])
  const issues = schemaIssuesOf(request)
  const { timeMs, key, issues: headerIssues } = readCallHeaders(request)
  const { call, issues: found } = readCustomCall(body)
  addIssues(issues, [...found, ...headerIssues])
  if (key !== null && !isRead)
    issues.push({
      path: '/headers/idempotency-key',
      message: 'is not taken: a custom call cannot be made only once',
    })
  if (issues.length > 0 || call === null) throw invalidInput(issues)
  const target = await findInstallation(port, integrationOf(request).id, body.groupRef ?? '')
  const { status, headers, body: text } = await port.actions.call(target, call, timeMs)
  const shown = jsonOf(text, headers['content-type'])
  return reply
    .type('application/json; charset=utf-8')
    .send(`{"status":${status},"headers":${JSON.stringify(headers)},"body":${shown}}`)
}

/** The JSON of an answer's body: its own text where it is JSON, so that no number loses digits. */
function jsonOf(text: string, type = ''): string {
  if (text === '') return 'null'
  return /\bjson\b/i.test(type) && isJson(text) ? text : JSON.stringify(text)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
