import type { FastifyInstance } from 'fastify'
import type { InstallationRow } from '../../connections/installations.ts'
import type { Setup } from '../../connections/setup.ts'
import { IntegrationPath, PageQuery, pageOf } from '../../contract/fields.ts'
import {
  Installation,
  InstallationPath,
  InstallationUpdate,
  NewInstallation,
  type WriteObject,
} from '../../contract/installations.ts'
import { checkObjectEntry, checkObjectNames } from '../../ingest/rules/object-entry.ts'
import { integrationOf, requireScope } from '../auth.ts'
import { pointerTo } from '../../kernel/json-pointer.ts'
import { invalidInput } from '../validation.ts'
import { problems } from '../openapi.ts'
import { pageAnswer, pageRequest, type ListQuery } from '../pagination.ts'
import { changedBy } from './changed-by.ts'
import { deleted } from './deleted.ts'
import { findById } from './found.ts'

const tags = ['installations']

const toAnswer = (row: InstallationRow) => ({
  id: row.id,
  projectId: row.projectId,
  integrationId: row.integrationId,
  group: { groupRef: row.groupRef },
  connection: { id: row.connectionId, status: row.connectionStatus },
  healthStatus: row.connectionStatus === 'working' ? 'healthy' : 'unhealthy',
  config: { id: row.configId, content: row.content },
  createTime: row.createdAt.toISOString(),
})

/** What the schema cannot say of the objects' names and fields, all of it at once. */
function checkObjects(objects: Record<string, WriteObject> = {}): void {
  const base = '/config/content/write/objects'
  const issues = Object.entries(objects).flatMap(([name, entry]) =>
    checkObjectEntry(entry, pointerTo(base, name)),
  )
  if (issues.length === 0) issues.push(...checkObjectNames(objects, base))
  if (issues.length > 0) throw invalidInput(issues)
}

const path = '/projects/:project/integrations/:integration/installations'

export function installationRoutes(app: FastifyInstance, setup: Setup): void {
  app.post<{ Body: NewInstallation }>(
    path,
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Install an integration for a customer',
        params: IntegrationPath,
        body: NewInstallation,
        response: { 201: Installation, ...problems },
      },
    },
    async (request, reply) => {
      const { id: integrationId, projectId, provider } = integrationOf(request)
      const { config, ...input } = request.body
      checkObjects(config.content.write.objects)
      const parent = { projectId, integrationId, provider }
      const installation = await setup.createInstallation(parent, { ...input, content: config.content })
      const base = `/v1/projects/${projectId}/integrations/${integrationId}`
      reply.status(201).header('location', `${base}/installations/${installation.id}`)
      return toAnswer(installation)
    },
  )

  app.get<{ Querystring: ListQuery }>(
    path,
    {
      onRequest: requireScope('read', 'admin'),
      schema: {
        tags,
        summary: 'List the installations, newest first',
        params: IntegrationPath,
        querystring: PageQuery,
        response: { 200: pageOf(Installation), ...problems },
      },
    },
    async (request) => {
      const page = await setup.listInstallations(integrationOf(request).id, pageRequest(request.query))
      return pageAnswer({ ...page, results: page.results.map(toAnswer) })
    },
  )

  app.get<{ Params: { installationId: string } }>(
    `${path}/:installationId`,
    {
      onRequest: requireScope('read', 'admin'),
      schema: {
        tags,
        summary: 'Get an installation',
        params: InstallationPath,
        response: { 200: Installation, ...problems },
      },
    },
    async (request) => {
      const get = (id: string) => setup.getInstallation(integrationOf(request).id, id)
      return toAnswer(await findById('installation', request.params.installationId, get))
    },
  )

  changeRoutes(app, setup)
}

function changeRoutes(app: FastifyInstance, setup: Setup): void {
  app.patch<{ Params: { installationId: string }; Body: InstallationUpdate }>(
    `${path}/:installationId`,
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Change an installation: its configuration, its connection',
        params: InstallationPath,
        body: InstallationUpdate,
        response: { 200: Installation, ...problems },
      },
    },
    async (request) => {
      const { id: integrationId, projectId, provider } = integrationOf(request)
      const { connectionId, config } = request.body
      checkObjects(config?.content.write.objects)
      const change = {
        ...(connectionId !== undefined && { connectionId }),
        ...(config !== undefined && { content: config.content }),
      }
      const parent = { projectId, integrationId, provider }
      const update = (id: string) => setup.updateInstallation(parent, id, change, changedBy(request))
      return toAnswer(await findById('installation', request.params.installationId, update))
    },
  )

  app.delete<{ Params: { installationId: string } }>(
    `${path}/:installationId`,
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Delete an installation: what waits for it is cancelled, what is being sent is let finish',
        params: InstallationPath,
        response: { ...deleted, ...problems },
      },
    },
    async (request, reply) => {
      const remove = async (id: string) =>
        (await setup.deleteInstallation(integrationOf(request), id, changedBy(request))) ? id : null
      await findById('installation', request.params.installationId, remove)
      return reply.status(204).send()
    },
  )
}
