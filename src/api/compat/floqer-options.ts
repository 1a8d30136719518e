import type { FastifyPluginAsync, FastifyRequest, RouteShorthandOptions } from 'fastify'
import type { TSchema } from 'typebox'
import type { Actions } from '../../actions/actions.ts'
import { IntegrationPath } from '../../contract/fields.ts'
import { FieldOptionsRequest, ObjectOptionsRequest, OptionsAnswer } from '../../contract/floqer-options.ts'
import { PromoteHeaders } from '../../contract/operate.ts'
import type { TargetInstallation } from '../../ingest/write-body.ts'
import { integrationOf, requireScope } from '../auth.ts'
import { findInstallation } from '../ampersand/make-write.ts'
import { readCallHeaders } from '../ampersand/write-request.ts'
import { problems } from '../openapi.ts'
import { invalidInput } from '../validation.ts'

/** What the lists of options need of the floors below. */
export interface OptionsPort {
  actions: Pick<Actions, 'objects' | 'fields'>
  /** The installation of a group in an integration; null when there is none. */
  installation: (integrationId: string, groupRef: string) => Promise<TargetInstallation | null>
}

const base = '/projects/:project/integrations/:integration/options'
const CONTEXT_OBJECT = '/context/salesforce_object'

const routeOf = (operationId: string, summary: string, description: string, body: TSchema) =>
  ({
    onRequest: requireScope('read'),
    schema: {
      operationId,
      summary,
      description: `${description} What the org is described to have is kept for up to five minutes, and read anew for a connection with new credentials.`,
      tags: ['Reading from the org'],
      params: IntegrationPath,
      headers: PromoteHeaders,
      body,
      response: { 200: OptionsAnswer, ...problems },
    },
  }) satisfies RouteShorthandOptions

/** Milliseconds that a call may take. @throws {WritebackError} INVALID_REQUEST */
function timeOf(request: FastifyRequest): number {
  const { timeMs, issues } = readCallHeaders(request)
  if (issues.length > 0) throw invalidInput(issues, 'headers')
  return timeMs
}

/** The lists of Floqer's form for an upsert (contract section 8). */
export function floqerOptionRoutes(port: OptionsPort): FastifyPluginAsync {
  const targetOf = (request: FastifyRequest): Promise<TargetInstallation> =>
    findInstallation(port, integrationOf(request).id, (request.body as FieldOptionsRequest).groupRef)

  async function fieldsOf(request: FastifyRequest) {
    const { context } = request.body as FieldOptionsRequest
    const target = await targetOf(request)
    return port.actions.fields(target, context.salesforce_object, CONTEXT_OBJECT, timeOf(request))
  }

  return (app) => {
    app.post(
      `${base}/salesforce_object`,
      routeOf(
        'listObjectOptions',
        'List the objects that can be upserted',
        'The objects of the org that its connected user can create and update; where the installation lists objects, of those.',
        ObjectOptionsRequest,
      ),
      async (request) => {
        const timeMs = timeOf(request)
        return optionsOf(await port.actions.objects(await targetOf(request), timeMs))
      },
    )
    app.post(
      `${base}/salesforce_external_id_field`,
      routeOf(
        'listExternalIdFieldOptions',
        'List the external-id fields of an object',
        'The fields of the object that are flagged External ID and that its connected user can write.',
        FieldOptionsRequest,
      ),
      async (request) => optionsOf((await fieldsOf(request)).filter(({ externalId }) => externalId)),
    )
    app.post(
      `${base}/add_fields_and_their_values`,
      routeOf(
        'listFieldOptions',
        'List the fields of an object',
        'The fields of the object that its connected user can write.',
        FieldOptionsRequest,
      ),
      async (request) => optionsOf(await fieldsOf(request)),
    )
    return Promise.resolve()
  }
}

const inOrder = new Intl.Collator('en')

/** By label; what has the same label by its name, so that the order is always the same. */
const optionsOf = (entries: readonly { label: string; name: string }[]): OptionsAnswer => ({
  options: entries
    .map(({ label, name }) => ({ label, value: name }))
    .sort((a, b) => inOrder.compare(a.label, b.label) || (a.value < b.value ? -1 : 1)),
})
