import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { Static } from 'typebox'
import { cutPage } from '../../connections/page.ts'
import {
  CreatedDestination,
  Delivery,
  Destination,
  DestinationPath,
  DestinationTest,
  DestinationUpdate,
  NewDestination,
  RotatedDestination,
} from '../../contract/destinations.ts'
import { PageQuery, pageOf, ProjectPath } from '../../contract/fields.ts'
import { OutboundRefused, parseOutboundUrl } from '../../kernel/outbound.ts'
import type { DeliveryRow } from '../../notify/deliveries.ts'
import type { DestinationRow } from '../../notify/destinations.ts'
import type { Tested } from '../../notify/send-test.ts'
import type { Destinations } from '../../notify/setup.ts'
import { projectOf, requireScope } from '../auth.ts'
import { problems } from '../openapi.ts'
import { pageAnswer, pageRequest } from '../pagination.ts'
import { invalidInput } from '../validation.ts'
import { changedBy } from './changed-by.ts'
import { deleted } from './deleted.ts'
import { findById } from './found.ts'

const tags = ['destinations']
const path = '/projects/:project/destinations'

interface Options {
  destinations: Destinations
  /** Allows http and private addresses as targets. */
  allowInsecure: boolean
}

/** Field by field, so that nothing of a secret can ever slip through. */
const toDestination = (row: DestinationRow): Destination => ({
  id: row.id,
  name: row.name,
  type: row.type,
  metadata: { url: row.url, ...(row.digest !== null && { digest: row.digest }) },
  enabled: row.enabled,
  ...(row.disabledReason !== null && { disabledReason: row.disabledReason }),
  ...(row.disabledAt !== null && { disabledTime: row.disabledAt.toISOString() }),
  createTime: row.createdAt.toISOString(),
})

const toDelivery = (row: DeliveryRow): Delivery => ({
  id: row.id,
  operationIds: row.operationIds,
  digest: row.isDigest,
  state: row.state,
  attempts: row.attempts,
  ...(row.lastAttemptAt !== null && { lastAttemptTime: row.lastAttemptAt.toISOString() }),
  ...(row.lastStatus !== null && { lastStatus: row.lastStatus }),
  ...(row.lastError !== null && { lastError: row.lastError }),
  ...(row.nextAttemptAt !== null && { nextAttemptTime: row.nextAttemptAt.toISOString() }),
  createTime: row.createdAt.toISOString(),
  ...(row.endedAt !== null && { endTime: row.endedAt.toISOString() }),
})

const toTest = ({ id, status, body, error, durationMs }: Tested): DestinationTest => ({
  delivered: error === null,
  id,
  ...(status !== null && { status, body }),
  ...(error !== null && { error }),
  durationMs,
})

function checkUrl(url: string | undefined, allowInsecure: boolean): void {
  if (url === undefined) return
  try {
    parseOutboundUrl(url, 'URL', { allowInsecure }, { query: true })
  } catch (error) {
    if (!(error instanceof OutboundRefused)) throw error
    throw invalidInput([{ path: '/metadata/url', message: `is refused: ${error.message}` }])
  }
}

/** Where a project's notifications go (contract section 4), and what became of them. */
export const destinationRoutes =
  (options: Options): FastifyPluginAsync =>
  (app) => {
    makeRoutes(app, options)
    readRoutes(app, options)
    changeRoutes(app, options)
    actRoutes(app, options)
    return Promise.resolve()
  }

function makeRoutes(app: FastifyInstance, { destinations, allowInsecure }: Options): void {
  app.post<{ Body: NewDestination }>(
    path,
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Create a webhook destination; the answer shows its signing secret this once',
        params: ProjectPath,
        body: NewDestination,
        response: { 201: CreatedDestination, ...problems },
      },
    },
    async (request, reply): Promise<CreatedDestination> => {
      const { name, metadata } = request.body
      checkUrl(metadata.url, allowInsecure)
      const project = projectOf(request)
      const input = { name, url: metadata.url, digest: metadata.digest ?? null }
      const { secret, ...row } = await destinations.create(project.id, input)
      reply.status(201).header('location', `/v1/projects/${project.id}/destinations/${row.id}`)
      // an answer with a secret in it belongs in no cache
      reply.header('cache-control', 'no-store')
      return { ...toDestination(row), secret }
    },
  )
}

function readRoutes(app: FastifyInstance, { destinations }: Options): void {
  app.get(
    path,
    {
      onRequest: requireScope('read', 'admin'),
      schema: {
        tags,
        summary: 'List the destinations, newest first',
        params: ProjectPath,
        querystring: PageQuery,
        response: { 200: pageOf(Destination), ...problems },
      },
    },
    async (request) => {
      const { size, after } = pageRequest(request.query as Static<typeof PageQuery>)
      const page = cutPage(await destinations.list(projectOf(request).id, { size: size + 1, after }), size)
      return pageAnswer({ ...page, results: page.results.map(toDestination) })
    },
  )

  app.get<{ Params: { id: string } }>(
    `${path}/:id`,
    {
      onRequest: requireScope('read', 'admin'),
      schema: {
        tags,
        summary: 'Get a destination',
        params: DestinationPath,
        response: { 200: Destination, ...problems },
      },
    },
    async (request) => {
      const get = (id: string) => destinations.get(projectOf(request).id, id)
      return toDestination(await findById('destination', request.params.id, get))
    },
  )

  app.get<{ Params: { id: string } }>(
    `${path}/:id/deliveries`,
    {
      onRequest: requireScope('read', 'admin'),
      schema: {
        tags,
        summary: 'List what was sent to a destination in the last days, and what waits, newest first',
        params: DestinationPath,
        querystring: PageQuery,
        response: { 200: pageOf(Delivery), ...problems },
      },
    },
    async (request) => {
      const { size, after } = pageRequest(request.query as Static<typeof PageQuery>)
      const read = (id: string) =>
        destinations.deliveries(projectOf(request).id, id, { size: size + 1, after })
      const page = cutPage(await findById('destination', request.params.id, read), size)
      return pageAnswer({ ...page, results: page.results.map(toDelivery) })
    },
  )
}

function changeRoutes(app: FastifyInstance, { destinations, allowInsecure }: Options): void {
  app.patch<{ Params: { id: string }; Body: DestinationUpdate }>(
    `${path}/:id`,
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Change a destination, or switch it on or off',
        params: DestinationPath,
        body: DestinationUpdate,
        response: { 200: Destination, ...problems },
      },
    },
    async (request) => {
      const { metadata = {}, ...change } = request.body
      checkUrl(metadata.url, allowInsecure)
      const update = (id: string) =>
        destinations.update(projectOf(request).id, id, { ...change, ...metadata }, changedBy(request))
      return toDestination(await findById('destination', request.params.id, update))
    },
  )

  app.delete<{ Params: { id: string } }>(
    `${path}/:id`,
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Delete a destination; what waits for it is not sent any more',
        params: DestinationPath,
        response: { ...deleted, ...problems },
      },
    },
    async (request, reply) => {
      const remove = (id: string) => destinations.remove(projectOf(request).id, id, changedBy(request))
      await findById('destination', request.params.id, remove)
      return reply.status(204).send()
    },
  )
}

function actRoutes(app: FastifyInstance, { destinations }: Options): void {
  app.post<{ Params: { id: string } }>(
    // The expression ends the parameter at the colon, which the router would take for a part of its name.
    `${path}/:id([^:]+)::rotate-secret`,
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Give a destination a new signing secret, shown this once',
        description: 'For 24 hours every notification is signed with the secret before it too.',
        params: DestinationPath,
        response: { 200: RotatedDestination, ...problems },
      },
    },
    async (request, reply): Promise<RotatedDestination> => {
      const rotate = (id: string) => destinations.rotate(projectOf(request).id, id, changedBy(request))
      const { secret, oldSecretUntil, ...row } = await findById('destination', request.params.id, rotate)
      reply.header('cache-control', 'no-store')
      return { ...toDestination(row), secret, oldSecretUntil: oldSecretUntil.toISOString() }
    },
  )

  app.post<{ Params: { id: string } }>(
    `${path}/:id([^:]+)::test`,
    {
      onRequest: requireScope('admin'),
      schema: {
        tags,
        summary: 'Send a test event to a destination now, and say what its receiver answered',
        description:
          'Its `notificationType` is `destination.test`. It is sent once, also while the destination is switched off, and is in no log.',
        params: DestinationPath,
        response: { 200: DestinationTest, ...problems },
      },
    },
    async (request) => {
      const test = (id: string) => destinations.test(projectOf(request).id, id)
      return toTest(await findById('destination', request.params.id, test))
    },
  )
}
