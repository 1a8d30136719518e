import type { FastifyPluginAsync } from 'fastify'
import Type from 'typebox'
import { EngagementInteraction, EngagementRequest } from '../../contract/engagement.ts'
import { IntegrationPath } from '../../contract/fields.ts'
import { WriteHeaders } from '../../contract/write.ts'
import { WriteAccepted, WriteFailed, WriteSucceeded } from '../../contract/write-answers.ts'
import { acceptInteraction } from '../../ingest/accept-interaction.ts'
import { checkRoomFor, findInstallation, makeWrite, type WritePort } from '../ampersand/make-write.ts'
import { writeShape } from '../ampersand/write-answer.ts'
import { asksForQueue } from '../ampersand/write-request.ts'
import { integrationOf, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'
import { readInteractionCall } from './engagement-body.ts'

/** What follows the integration in the call's path: the provider's own path of the resource. */
const RESOURCE = '/connect/service-excellence/engagement-interactions'

const description = `Writes an engagement interaction with its attendees, topics and custom fields, as Salesforce's Connect resource takes it: all of it or nothing. \`recordId\` of the answer is the interaction's id; \`data\` is the org's own answer, with the ids of attendees and topics. It answers as the write call does, synchronously by default and asynchronously by \`mode\`. The installation lists it as the object \`EngagementInteraction\`, where it lists any.

Asynchronous interactions travel up to 25 together; each counts as an API call of the org all the same. None is undone with another, so \`allOrNone\` is refused. The resource takes no headers, so none can be given.

An interaction whose answer was lost is in doubt (\`OUTCOME_UNKNOWN\`), unless it has an \`externalIdentifierId\`: then it is looked up. It has succeeded if the org has one of that id, made since it was sent; it is sent again only if there is none 10 minutes later, and is in doubt if the org cannot tell, or has only an older one. A synchronous call looks it up within its time and leaves it to the queue then (\`STILL_TRYING\`). Interactions of one \`externalIdentifierId\` are written one after the other, in the order of their acceptance.`

const answers = {
  200: {
    description: 'Accepted, when asynchronous; else written.',
    content: { 'application/json': { schema: Type.Union([WriteAccepted, WriteSucceeded]) } },
  },
  422: {
    description:
      'A synchronous write that was not made; as a problem, an idempotency key that belongs to another request.',
    content: {
      'application/json': { schema: WriteFailed },
      'application/problem+json': { schema: { $ref: 'Problem#' } },
    },
  },
  ...problems,
}

/** Engagement interactions (contract section 8). */
export function engagementRoutes(port: WritePort): FastifyPluginAsync {
  return (app) => {
    const validate = app.validation.compile({ schema: EngagementInteraction, httpPart: 'body' })
    app.post(
      `/projects/:project/integrations/:integration${RESOURCE}`,
      {
        onRequest: requireScope('write'),
        attachValidation: true,
        schema: {
          operationId: 'writeEngagementInteraction',
          summary: 'Write an engagement interaction',
          description,
          tags: ['Engagement interactions'],
          params: IntegrationPath,
          headers: WriteHeaders,
          body: EngagementRequest,
          response: answers,
        },
      },
      async (request, reply) => {
        const isQueued = asksForQueue(request.body)
        checkRoomFor(port, request, isQueued)
        const { body, interaction, timeMs, key } = readInteractionCall(request, app.validation, validate)
        return makeWrite(port, request, reply, {
          isQueued,
          key,
          timeMs,
          content: { objectName: RESOURCE, body },
          shape: writeShape,
          accept: async () => {
            const installation = await findInstallation(port, integrationOf(request).id, body.groupRef)
            return acceptInteraction(body, interaction, installation)
          },
        })
      },
    )
    return Promise.resolve()
  }
}
