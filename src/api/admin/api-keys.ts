import type { FastifyInstance } from 'fastify'
import type { ApiKeyRow } from '../../connections/api-keys.ts'
import type { Setup } from '../../connections/setup.ts'
import { ApiKey, ApiKeyPath, ApiKeyUpdate, CreatedApiKey, NewApiKey } from '../../contract/api-keys.ts'
import { PageQuery, pageOf, ProjectPath } from '../../contract/fields.ts'
import { projectOf, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'
import { pageAnswer, pageRequest, type ListQuery } from '../pagination.ts'
import { changedBy } from './changed-by.ts'
import { deleted } from './deleted.ts'
import { findById } from './found.ts'

const tags = ['api keys']

const toAnswer = ({ id, label, scopes, createdAt }: ApiKeyRow): ApiKey => ({
  id,
  label,
  scopes,
  createTime: createdAt.toISOString(),
})

export function apiKeyRoutes(app: FastifyInstance, setup: Setup): void {
  app.post<{ Body: NewApiKey }>(
    '/projects/:project/api-keys',
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Create an API key; the answer shows it this once',
        params: ProjectPath,
        body: NewApiKey,
        response: { 201: CreatedApiKey, ...problems },
      },
    },
    async (request, reply): Promise<CreatedApiKey> => {
      const project = projectOf(request)
      const created = await setup.createApiKey(project.id, request.body)
      const { id, label, scopes, createTime } = toAnswer(created)
      reply.status(201).header('location', `/v1/projects/${project.id}/api-keys/${id}`)
      // an answer with a secret in it belongs in no cache
      reply.header('cache-control', 'no-store')
      return { id, label, scopes, key: created.key, createTime }
    },
  )

  app.get<{ Querystring: ListQuery }>(
    '/projects/:project/api-keys',
    {
      onRequest: requireScope('read', 'admin'),
      schema: {
        tags,
        summary: 'List the API keys, newest first',
        params: ProjectPath,
        querystring: PageQuery,
        response: { 200: pageOf(ApiKey), ...problems },
      },
    },
    async (request) => {
      const page = await setup.listApiKeys(projectOf(request).id, pageRequest(request.query))
      return pageAnswer({ ...page, results: page.results.map(toAnswer) })
    },
  )

  app.get<{ Params: { id: string } }>(
    '/projects/:project/api-keys/:id',
    {
      onRequest: requireScope('read', 'admin'),
      schema: { tags, summary: 'Get an API key', params: ApiKeyPath, response: { 200: ApiKey, ...problems } },
    },
    async (request) => {
      const get = (id: string) => setup.getApiKey(projectOf(request).id, id)
      return toAnswer(await findById('API key', request.params.id, get))
    },
  )

  changeRoutes(app, setup)
}

function changeRoutes(app: FastifyInstance, setup: Setup): void {
  app.patch<{ Params: { id: string }; Body: ApiKeyUpdate }>(
    '/projects/:project/api-keys/:id',
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Change what an API key is called and what it may do, in every process at once',
        params: ApiKeyPath,
        body: ApiKeyUpdate,
        response: { 200: ApiKey, ...problems },
      },
    },
    async (request) => {
      const update = (id: string) =>
        setup.updateApiKey(projectOf(request).id, id, request.body, changedBy(request))
      return toAnswer(await findById('API key', request.params.id, update))
    },
  )

  app.delete<{ Params: { id: string } }>(
    '/projects/:project/api-keys/:id',
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Revoke an API key, in every process at once',
        params: ApiKeyPath,
        response: { ...deleted, ...problems },
      },
    },
    async (request, reply) => {
      const remove = (id: string) => setup.deleteApiKey(projectOf(request).id, id, changedBy(request))
      await findById('API key', request.params.id, remove)
      return reply.status(204).send()
    },
  )
}
