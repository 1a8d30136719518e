import type { FastifyInstance } from 'fastify'
import type { IntegrationRow } from '../../connections/integrations.ts'
import type { Setup } from '../../connections/setup.ts'
import { IntegrationPath, PageQuery, pageOf, ProjectPath } from '../../contract/fields.ts'
import { Integration, IntegrationUpdate, NewIntegration } from '../../contract/integrations.ts'
import { integrationOf, projectOf, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'
import { pageAnswer, pageRequest, type ListQuery } from '../pagination.ts'
import { changedBy } from './changed-by.ts'
import { deleted } from './deleted.ts'
import { findById } from './found.ts'

const tags = ['integrations']

const toAnswer = ({ id, name, provider, createdAt }: IntegrationRow) => ({
  id,
  name,
  provider,
  createTime: createdAt.toISOString(),
})

export function integrationRoutes(app: FastifyInstance, setup: Setup): void {
  app.post<{ Body: NewIntegration }>(
    '/projects/:project/integrations',
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Create an integration',
        params: ProjectPath,
        body: NewIntegration,
        response: { 201: Integration, ...problems },
      },
    },
    async (request, reply) => {
      const project = projectOf(request)
      const integration = await setup.createIntegration(project.id, request.body)
      reply.status(201).header('location', `/v1/projects/${project.id}/integrations/${integration.id}`)
      return toAnswer(integration)
    },
  )

  app.get<{ Querystring: ListQuery }>(
    '/projects/:project/integrations',
    {
      onRequest: requireScope('read', 'admin'),
      schema: {
        tags,
        summary: 'List the integrations, newest first',
        params: ProjectPath,
        querystring: PageQuery,
        response: { 200: pageOf(Integration), ...problems },
      },
    },
    async (request) => {
      const page = await setup.listIntegrations(projectOf(request).id, pageRequest(request.query))
      return pageAnswer({ ...page, results: page.results.map(toAnswer) })
    },
  )

  app.get(
    '/projects/:project/integrations/:integration',
    {
      onRequest: requireScope('read', 'admin'),
      schema: {
        tags,
        summary: 'Get an integration',
        params: IntegrationPath,
        response: { 200: Integration, ...problems },
      },
    },
    async (request) => {
      const get = (id: string) => setup.getIntegration(projectOf(request).id, id)
      return toAnswer(await findById('integration', integrationOf(request).id, get))
    },
  )

  changeRoutes(app, setup)
}

function changeRoutes(app: FastifyInstance, setup: Setup): void {
  app.patch<{ Body: IntegrationUpdate }>(
    '/projects/:project/integrations/:integration',
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Rename an integration',
        params: IntegrationPath,
        body: IntegrationUpdate,
        response: { 200: Integration, ...problems },
      },
    },
    async (request) => {
      const update = (id: string) =>
        setup.updateIntegration(projectOf(request).id, id, request.body, changedBy(request))
      return toAnswer(await findById('integration', integrationOf(request).id, update))
    },
  )

  app.delete(
    '/projects/:project/integrations/:integration',
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Delete an integration that is not installed for anybody any more',
        params: IntegrationPath,
        response: { ...deleted, ...problems },
      },
    },
    async (request, reply) => {
      const remove = (id: string) => setup.deleteIntegration(projectOf(request).id, id, changedBy(request))
      await findById('integration', integrationOf(request).id, remove)
      return reply.status(204).send()
    },
  )
}
