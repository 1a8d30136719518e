import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { IntegrationPath } from '../../contract/fields.ts'
import { FloqerUpsert, FloqerUpserted } from '../../contract/floqer.ts'
import { WriteAccepted, WriteFailed } from '../../contract/write-answers.ts'
import { WriteHeaders } from '../../contract/write.ts'
import { acceptWrite, type Submission } from '../../ingest/accept.ts'
import { refuse } from '../../ingest/examine.ts'
import type { WriteBody } from '../../ingest/write-body.ts'
import { WritebackError } from '../../kernel/errors.ts'
import type { NowOutcome } from '../../model/now-outcome.ts'
import { checkRoomFor, findInstallation, makeWrite, type WritePort } from '../ampersand/make-write.ts'
import type { Answer } from '../ampersand/keyed-write.ts'
import { toAnswer, type AnsweredOperation } from '../ampersand/write-answer.ts'
import { asksForQueue, readCallHeaders, readWriteBody } from '../ampersand/write-request.ts'
import { integrationOf, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'
import { readFloqerBody } from './floqer-body.ts'
import { addIssues, schemaIssuesOf } from '../issues.ts'
import { translated } from './translated.ts'

/** What Floqer's upsert needs of the floors below. */
export interface FloqerPort extends WritePort {
  /**
   * The instance of an installation's org, `https://HOST`.
   * @throws {WritebackError} when there is no session
   */
  instanceUrlOf: (installationId: string) => Promise<string>
}

const description = `Floqer's action \`salesforce_upsert_record\`: creates or updates the one record that the external-id field names, whose value is among the fields. Empty values are left out and assignment rules run unless the inputs say otherwise.

The answer is the record's id, what was done and its page; the operation's id is in the header \`Writeback-Operation-Id\`. What the org refuses is a 422 as of the write call. Without a working connection it is 424; a session that the org refuses once more after it was renewed is a 502 with the code \`INVALID_SESSION_ID\`. With \`mode\` \`asynchronous\` the answer is an operation to follow. \`Request-Timeout\` and \`Idempotency-Key\` mean what they mean for the write call.`

/** Floqer's upsert (contract section 8). */
export function floqerUpsertRoutes(port: FloqerPort): FastifyPluginAsync {
  return (app) => {
    app.post(
      '/projects/:project/integrations/:integration/actions/salesforce_upsert_record',
      {
        onRequest: requireScope('write'),
        attachValidation: true,
        schema: {
          operationId: 'floqerUpsert',
          summary: 'Upsert a record as Floqer does',
          description,
          tags: ['Floqer'],
          params: IntegrationPath,
          headers: WriteHeaders,
          body: FloqerUpsert,
          response: {
            200: {
              description: 'Written; when asynchronous, accepted.',
              headers: {
                'Writeback-Operation-Id': {
                  description: 'The operation of a call that was made now.',
                  schema: { type: 'string', format: 'uuid' },
                },
              },
              content: { 'application/json': { schema: Type.Union([FloqerUpserted, WriteAccepted]) } },
            },
            422: {
              description: 'The org refused the record.',
              content: { 'application/json': { schema: WriteFailed } },
            },
            ...problems,
          },
        },
      },
      (request, reply) => upsert(port, request, reply),
    )
    return Promise.resolve()
  }
}

function upsert(port: FloqerPort, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const read = readFloqerBody(request.body)
  const { groupRef, objectName } = read
  const isQueued = asksForQueue(request.body)
  checkRoomFor(port, request, isQueued)
  const { body, examined, issues: found } = readWriteBody(read.write, [])
  const headers = readCallHeaders(request, !isQueued)
  const issues = [...read.issues]
  addIssues(issues, schemaIssuesOf(request))
  addIssues(issues, read.translate(found))
  issues.push(...headers.issues)
  if (issues.length > 0) refuse(issues)
  const instance: Instance = { url: null }
  return makeWrite(knowing(port, instance), request, reply, {
    isQueued,
    key: headers.key,
    timeMs: headers.timeMs,
    content: { objectName: '/actions/salesforce_upsert_record', body: request.body },
    shape: {
      ofOutcome: (operation, outcome) => {
        reply.header('writeback-operation-id', operation.operationId)
        return floqerAnswer(operation, outcome, instance.url)
      },
    },
    accept: async () => {
      const installation = await findInstallation(port, integrationOf(request).id, groupRef)
      return translated(read.translate, () =>
        acceptWrite(body as WriteBody, examined, objectName, installation, '/inputs/salesforce_object'),
      )
    },
  })
}

/** The org's instance, as soon as it is known. */
interface Instance {
  url: string | null
}

/** Learns the instance while a write is sent: both wait for the same session, and the write for more. */
const knowing = (port: FloqerPort, instance: Instance): WritePort => ({
  ...port,
  sendNow: (submission: Submission, timeMs: number) => {
    port.instanceUrlOf(submission.lane.installationId).then(
      (url) => (instance.url = url),
      // The write itself says that there is no session, or gets one later.
      () => undefined,
    )
    return port.sendNow(submission, timeMs)
  },
})

/**
 * What Floqer is told of a call that was tried.
 *
 * @param url the org's instance, where it is known
 * @throws {WritebackError} INVALID_SESSION_ID, and as {@link toAnswer} when it ended without an outcome
 */
export function floqerAnswer(operation: AnsweredOperation, outcome: NowOutcome, url: string | null): Answer {
  const [record] = outcome.kind === 'ended' ? outcome.records : []
  if (record === undefined) return toAnswer(operation, outcome)
  if (record.ok) {
    const recordId = record.recordId ?? ''
    const body: FloqerUpserted = {
      record_id: recordId,
      // One that a duplicate rule found was updated, of which the org says nothing.
      operation_type: record.created === true ? 'Insert' : 'Update',
      account_url: url === null ? null : `${url}/${recordId}`,
    }
    return { status: 200, body }
  }
  // It had a connection when it was sent, whose session was refused until the connection counted as broken.
  const reason = record.errors.find(({ code }) => code === 'NO_WORKING_CONNECTION')
  if (reason !== undefined)
    throw new WritebackError(
      'INVALID_SESSION_ID',
      `The org refused the session and what replaced it; nothing was written. ${reason.message}`,
      {
        remedy: 'Check that the connected user may use the API, and connect the org again.',
        operationId: operation.operationId,
      },
    )
  return toAnswer(operation, outcome)
}
