import type { FastifyInstance } from 'fastify'
import type { ProjectRow } from '../../connections/projects.ts'
import type { Setup } from '../../connections/setup.ts'
import { PageQuery, pageOf, ProjectPath } from '../../contract/fields.ts'
import { NewProject, Project, ProjectUpdate } from '../../contract/projects.ts'
import { projectOf, requireAdmin, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'
import { pageAnswer, pageRequest, type ListQuery } from '../pagination.ts'
import { changedBy } from './changed-by.ts'
import { deleted } from './deleted.ts'
import { findById } from './found.ts'

const tags = ['projects']

const toAnswer = ({ id, name, createdAt }: ProjectRow): Project => ({
  id,
  name,
  createTime: createdAt.toISOString(),
})

/** The admin key makes and lists projects; a project's own key may look at its project, or change it with the scope. */
export function projectRoutes(app: FastifyInstance, setup: Setup): void {
  app.post<{ Body: NewProject }>(
    '/projects',
    {
      onRequest: requireAdmin,
      schema: {
        tags,
        summary: 'Create a project',
        body: NewProject,
        response: { 201: Project, ...problems },
      },
    },
    async (request, reply) => {
      const project = await setup.createProject(request.body)
      reply.status(201).header('location', `/v1/projects/${project.id}`)
      return toAnswer(project)
    },
  )

  app.get<{ Querystring: ListQuery }>(
    '/projects',
    {
      onRequest: requireAdmin,
      schema: {
        tags,
        summary: 'List the projects, newest first',
        querystring: PageQuery,
        response: { 200: pageOf(Project), ...problems },
      },
    },
    async (request) => {
      const page = await setup.listProjects(pageRequest(request.query))
      return pageAnswer({ ...page, results: page.results.map(toAnswer) })
    },
  )

  app.get(
    '/projects/:project',
    {
      onRequest: requireScope('read', 'admin'),
      schema: {
        tags,
        summary: 'Get a project',
        params: ProjectPath,
        response: { 200: Project, ...problems },
      },
    },
    async (request) => {
      const get = (id: string) => setup.getProject(id)
      return toAnswer(await findById('project', projectOf(request).id, get))
    },
  )

  changeRoutes(app, setup)
}

function changeRoutes(app: FastifyInstance, setup: Setup): void {
  app.patch<{ Body: ProjectUpdate }>(
    '/projects/:project',
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Rename a project',
        params: ProjectPath,
        body: ProjectUpdate,
        response: { 200: Project, ...problems },
      },
    },
    async (request) => {
      const update = (id: string) => setup.updateProject(id, request.body, changedBy(request))
      return toAnswer(await findById('project', projectOf(request).id, update))
    },
  )

  app.delete(
    '/projects/:project',
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary:
          'Delete a project in which nothing is installed, with its keys, integrations and connections',
        params: ProjectPath,
        response: { ...deleted, ...problems },
      },
    },
    async (request, reply) => {
      const remove = (id: string) => setup.deleteProject(id, changedBy(request))
      await findById('project', projectOf(request).id, remove)
      return reply.status(204).send()
    },
  )
}
