import type { FastifyInstance } from 'fastify'
import type { ConnectionRow } from '../../connections/connections.ts'
import type { Setup } from '../../connections/setup.ts'
import { Connection, ConnectionPath, ConnectionUpdate, NewConnection } from '../../contract/connections.ts'
import { PageQuery, pageOf, ProjectPath } from '../../contract/fields.ts'
import { projectOf, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'
import { pageAnswer, pageRequest, type ListQuery } from '../pagination.ts'
import { changedBy } from './changed-by.ts'
import { deleted } from './deleted.ts'
import { findById } from './found.ts'

const tags = ['connections']

/** Named field by field, so that nothing of the credentials can ever slip through. */
const toAnswer = ({ id, groupRef, provider, status }: ConnectionRow) => ({ id, groupRef, provider, status })

export function connectionRoutes(app: FastifyInstance, setup: Setup): void {
  app.post<{ Body: NewConnection }>(
    '/projects/:project/connections',
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: "Create a connection to a customer's org",
        params: ProjectPath,
        body: NewConnection,
        response: { 201: Connection, ...problems },
      },
    },
    async (request, reply) => {
      const project = projectOf(request)
      const connection = await setup.createConnection(project.id, request.body)
      reply.status(201).header('location', `/v1/projects/${project.id}/connections/${connection.id}`)
      return toAnswer(connection)
    },
  )

  app.get<{ Querystring: ListQuery }>(
    '/projects/:project/connections',
    {
      onRequest: requireScope('read', 'admin'),
      schema: {
        tags,
        summary: 'List the connections, newest first',
        params: ProjectPath,
        querystring: PageQuery,
        response: { 200: pageOf(Connection), ...problems },
      },
    },
    async (request) => {
      const page = await setup.listConnections(projectOf(request).id, pageRequest(request.query))
      return pageAnswer({ ...page, results: page.results.map(toAnswer) })
    },
  )

  app.get<{ Params: { id: string } }>(
    '/projects/:project/connections/:id',
    {
      onRequest: requireScope('read', 'admin'),
      schema: {
        tags,
        summary: 'Get a connection',
        params: ConnectionPath,
        response: { 200: Connection, ...problems },
      },
    },
    async (request) => {
      const get = (id: string) => setup.getConnection(projectOf(request).id, id)
      return toAnswer(await findById('connection', request.params.id, get))
    },
  )

  changeRoutes(app, setup)
}

function changeRoutes(app: FastifyInstance, setup: Setup): void {
  app.patch<{ Params: { id: string }; Body: ConnectionUpdate }>(
    '/projects/:project/connections/:id',
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Give a connection new credentials; everything that waited for it goes on at once',
        params: ConnectionPath,
        body: ConnectionUpdate,
        response: { 200: Connection, ...problems },
      },
    },
    async (request) => {
      const { params, body } = request
      const renew = (id: string) =>
        setup.renewConnection(projectOf(request).id, id, body.credentials, changedBy(request))
      return toAnswer(await findById('connection', params.id, renew))
    },
  )

  app.delete<{ Params: { id: string } }>(
    '/projects/:project/connections/:id',
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Delete a connection that no installation uses any more',
        params: ConnectionPath,
        response: { ...deleted, ...problems },
      },
    },
    async (request, reply) => {
      const remove = (id: string) => setup.deleteConnection(projectOf(request).id, id, changedBy(request))
      await findById('connection', request.params.id, remove)
      return reply.status(204).send()
    },
  )
}
