import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { IntegrationPath } from '../../contract/fields.ts'
import { PromoteHeaders } from '../../contract/operate.ts'
import { RecordsQuery } from '../../contract/records.ts'
import { ScriptPage, ScriptQuery, ScriptRefusal } from '../../contract/script-query.ts'
import type { WritebackError } from '../../kernel/errors.ts'
import type { Answer } from '../ampersand/keyed-write.ts'
import { requireScope } from '../auth.ts'
import { statusOf } from '../error-handler.ts'
import { problems } from '../openapi.ts'
import { fetchPage, type ReadPort } from './callers-reads.ts'
import { echoOf, errorsOf, forScripts, inEnvelope, readGroup, textOf } from './scripts.ts'

const description = `For scripts of iDialogue rooms: runs one SELECT and answers with its first page, as \`/actions/query\` does and by its rules; \`nextRecordsUrl\` of a page asks for the next one. It is a call of the org's API, at once: nothing of it is queued or recorded.

The answer is an envelope as that of \`/records\`: 200 with \`success\` true and the page; a call that is refused, by the provider too, answers 400 with \`success\` false, \`message\`, \`errors\`, no records and a \`code\`, and other errors keep their statuses in it. What is refused before the body is read (the key, a project or an integration that is not there, a body too large or not declared as JSON) is a problem, which has \`success\`, \`message\` and \`errors\` as well.`

const answers = {
  200: ScriptPage,
  ...inEnvelope(ScriptRefusal, {
    400: 'The call has issues, or the provider refuses the query.',
    404: 'There is no installation for the group.',
    424: 'The installation has no working connection.',
    500: 'Something failed inside the service.',
    502: 'The provider could not be reached, or its answer was of no use.',
    503: 'The database is not available, or the service is stopping.',
    504: 'The provider did not answer in time.',
  }),
  ...problems,
}

/** The request's own values that its answer repeats. */
const echoed = ['orgId', 'roomId', 'origin'] as const

/** The query of scripts of iDialogue rooms (contract section 8). */
export function recordsQueryRoutes(port: ReadPort): FastifyPluginAsync {
  return (app) => {
    app.post(
      '/projects/:project/integrations/:integration/query',
      {
        onRequest: requireScope('read'),
        ...forScripts(errorAnswer),
        schema: {
          operationId: 'queryRecords',
          summary: 'Query an org as scripts of iDialogue rooms do',
          description,
          tags: ['iDialogue'],
          params: IntegrationPath,
          querystring: RecordsQuery,
          headers: PromoteHeaders,
          body: ScriptQuery,
          response: answers,
        },
      },
      (request, reply) => queryRecords(port, request, reply),
    )
    return Promise.resolve()
  }
}

async function queryRecords(
  port: ReadPort,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { query, groupRef: own, ...rest } = (request.body ?? {}) as ScriptQuery
  const { groupRef, issues } = readGroup(request.query, textOf(own))
  const page = await fetchPage(port, request, groupRef, { name: 'query', text: query, ...rest }, issues)
  const told = JSON.stringify({ success: true, message: null, errors: [], ...echoOf(request.body, echoed) })
  // The page goes in as its own text, in which no number has lost a digit.
  const envelope = `${told.slice(0, -1)},${page.slice(page.indexOf('{') + 1)}`
  return reply.type('application/json; charset=utf-8').send(envelope)
}

/** The envelope of a query that brought nothing. */
function errorAnswer(body: unknown, error: WritebackError): Answer {
  const { code, message, status = statusOf(code) } = error
  const refusal: ScriptRefusal = {
    ...{ success: false, message, errors: errorsOf(error) },
    ...echoOf(body, echoed),
    ...{ records: [], code },
  }
  return { status, body: refusal }
}
