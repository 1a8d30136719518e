import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { IntegrationPath } from '../../contract/fields.ts'
import { MAX_RECORDS, RecordsAnswer, RecordsQuery, RecordsRequest } from '../../contract/records.ts'
import { WriteAccepted } from '../../contract/write-answers.ts'
import { WriteHeaders } from '../../contract/write.ts'
import type { Issue } from '../../kernel/errors.ts'
import { MAX_REQUEST } from '../../model/write.ts'
import { acceptWrite } from '../../ingest/accept.ts'
import { examine, refuse, type Examined } from '../../ingest/examine.ts'
import { findProcedure, type ProcedureRules } from '../../ingest/rules/procedures.ts'
import { isSynchronous, type TargetInstallation, type WriteBody } from '../../ingest/write-body.ts'
import { checkRoomFor, findInstallation, makeWrite, type WritePort } from '../ampersand/make-write.ts'
import { readCallHeaders } from '../ampersand/write-request.ts'
import { integrationOf, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'
import { errorAnswer, recordsShape } from './records-answer.ts'
import { readRecordsBody, type RecordsBody } from './records-body.ts'
import { eachPlaceOnce, schemaIssuesOf } from '../issues.ts'
import { forScripts, inEnvelope, readGroup } from './scripts.ts'
import { translated } from './translated.ts'

/** The most fields that a procedure refuses by name at once. */
const MAX_ISSUES = 1_000

const description = `For scripts of iDialogue rooms: inserts, updates or upserts records in the shape that they send, up to ${MAX_RECORDS.toLocaleString('en')} as one operation.

The answer is one envelope whatever came of the call: 200 once the call was tried, with \`success\` true only if every record was written, each record with its own \`success\` and \`message\`, and inserted ones with their new \`id\`. A call that is refused answers 400 in the same envelope, nothing having been written; other errors keep their statuses in it, with \`code\` and, where there is one, \`operationId\`. What is refused before the body is read (the key, a project or an integration that is not there, a body too large or not declared as JSON) is a problem, which has \`success\`, \`message\` and \`errors\` as well.

An UPSERT is keyed by \`externalField\`, whose value stands in \`fields\`; a record's \`id\` beside it decides nothing, unless it can be no record id and \`fields\` has no value for the key: then it is that. With \`externalField\` \`Id\` records are updated by their ids.

With \`storedProcedure\` the records are written as the installation's configuration has it under that name. With \`mode\` \`asynchronous\`, the caller's or the procedure's, the answer is an operation to follow.`

const answers = {
  200: {
    description: 'What came of each record; of an asynchronous call, the operation to follow.',
    content: { 'application/json': { schema: Type.Union([RecordsAnswer, WriteAccepted]) } },
  },
  ...inEnvelope(RecordsAnswer, {
    400: 'The call has issues; nothing was written.',
    403: "The installation's configuration does not list the object; nothing was written.",
    404: 'There is no installation for the group; nothing was written.',
    409: 'The first call with this idempotency key is still running.',
    422: 'The idempotency key belongs to another request; nothing was written.',
    424: 'The installation has no working connection; nothing was written.',
    429: 'Too much is queued; nothing was written.',
    500: 'Something failed inside the service.',
    502: 'The provider could not be reached, or its answer was cut off: see `code`.',
    503: 'The database is not available, or the service is stopping; nothing was written.',
    504: 'There was no outcome in time: see `code`.',
  }),
  ...problems,
}

/** The records call (contract section 8). */
export function recordsRoutes(port: WritePort): FastifyPluginAsync {
  return (app) => {
    app.post(
      '/projects/:project/integrations/:integration/records',
      {
        onRequest: requireScope('write'),
        ...forScripts(errorAnswer),
        schema: {
          operationId: 'writeRecords',
          summary: 'Write records as scripts of iDialogue rooms do',
          description,
          tags: ['iDialogue'],
          params: IntegrationPath,
          querystring: RecordsQuery,
          headers: WriteHeaders,
          body: RecordsRequest,
          response: answers,
        },
      },
      (request, reply) => writeRecords(port, request, reply),
    )
    return Promise.resolve()
  }
}

async function writeRecords(
  port: WritePort,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const read = readRecordsBody(request.body)
  const group = readGroup(request.query, read.groupRef)
  const target = await findTarget(port, integrationOf(request).id, read, group.groupRef)
  const write = { ...read.write, ...treatmentOf(target.rules) }
  const isQueued = !isSynchronous(write)
  checkRoomFor(port, request, isQueued)
  const examined = examine(write)
  const headers = readCallHeaders(request, !isQueued)
  const issues = eachPlaceOnce([
    ...schemaIssuesOf(request),
    ...group.issues,
    ...read.issues,
    ...read.translate(examined.issues),
    ...headers.issues,
  ])
  if (issues.length > 0) refuse(eachPlaceOnce([...target.issues, ...issues]))
  const objectName = read.objectName ?? ''
  const { groupRef } = group
  return makeWrite(port, request, reply, {
    isQueued,
    key: headers.key,
    timeMs: headers.timeMs,
    content: { objectName: '/records', body: { ...(request.body as object), groupRef } },
    shape: recordsShape(request.body),
    accept: async () => {
      // Only now: what the installation came to since does not change what a repeated call is answered.
      if (target.issues.length > 0) refuse(target.issues)
      const installation =
        target.installation ?? (await findInstallation(port, integrationOf(request).id, groupRef))
      return translated(read.translate, () =>
        acceptWrite(write as WriteBody, forced(examined, target.rules), objectName, installation, '/type'),
      )
    },
  })
}

/** What the installation's configuration says of a call that names a procedure. */
interface Target {
  /** Null for a call without a procedure, whose installation is not asked for until it is accepted. */
  installation: TargetInstallation | null
  rules: ProcedureRules | null
  issues: Issue[]
}

async function findTarget(
  port: WritePort,
  integrationId: string,
  { storedProcedure, objectName, write, translate }: RecordsBody,
  groupRef: string,
): Promise<Target> {
  const none: Target = { installation: null, rules: null, issues: [] }
  if (storedProcedure === null || objectName === null || groupRef === '') return none
  const installation = await port.installation(integrationId, groupRef)
  // What is not there, or is not to be written at all, is refused for that.
  if (installation === null || installation.objects?.has(objectName) === false)
    return { ...none, installation }
  const rules = findProcedure(installation.objects?.get(objectName), storedProcedure)
  if (rules !== null)
    return { installation, rules, issues: translate(findRefusals(write, rules, storedProcedure)) }
  const message = `is no procedure of ${objectName} in the installation's configuration`
  return { installation, rules, issues: [{ path: '/storedProcedure', message }] }
}

/** What a procedure does not let its callers do. */
function findRefusals(write: Partial<WriteBody>, rules: ProcedureRules, name: string): Issue[] {
  const { batch = [], externalIdField: key } = write
  const issues: Issue[] = []
  if (key !== undefined && rules.forces(key))
    issues.push({
      path: '/externalIdField',
      message: `is set by the procedure ${name}: it can name no record`,
    })
  if (rules.procedure.allOrNone === true && batch.length > MAX_REQUEST)
    issues.push({
      path: '/batch',
      message: `must have at most ${MAX_REQUEST} entries: the procedure ${name} writes all or none, and more do not fit into one transaction`,
    })
  const refused = batch.flatMap((entry, index) =>
    entry === null ? [] : rules.findRefused(entry.record, `/batch/${index}/record`),
  )
  // More than anybody reads: a body can hold very many fields.
  return [...issues, ...refused.slice(0, MAX_ISSUES)]
}

/** How a procedure has records written. */
function treatmentOf(rules: ProcedureRules | null): Partial<WriteBody> {
  if (rules === null) return {}
  const { allOrNone, allowDuplicates, mode } = rules.procedure
  return {
    ...(allOrNone !== undefined && { batchPolicy: { allOrNone } }),
    ...(allowDuplicates !== undefined && { options: { allowDuplicates } }),
    ...(mode !== undefined && { mode }),
  }
}

/** With the procedure's values, in which nothing is a variable. */
const forced = (examined: Examined, rules: ProcedureRules | null): Examined =>
  rules === null
    ? examined
    : { ...examined, records: examined.records.map((one) => ({ ...one, record: rules.force(one.record) })) }
