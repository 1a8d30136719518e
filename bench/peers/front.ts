import { fastify, type FastifyInstance } from 'fastify'
import { WriteRequest } from '../../src/contract/write.ts'
import { endWith, numberFrom, role, tell } from './process.ts'
import type { Done } from './tally.ts'

/** One record to write, as a peer keeps it in its queue. */
export interface Write {
  object: string
  type: 'create' | 'update' | 'upsert' | 'delete'
  /** Null where nothing is upserted. */
  externalIdField: string | null
  record: Record<string, unknown>
}

/** What an HTTP peer does. */
export interface Peer {
  /** Resolves with the write's id once it is durable. */
  accept: (write: Write) => Promise<string> | string
  /** Lets the worker begin. */
  drain: () => Promise<void>
  done: () => Promise<Done>
  stop: () => Promise<void>
}

/** A record that Salesforce refused, told to the caller. */
export class Refused extends Error {
  readonly statusCode = 422
}

// eslint-disable-next-line no-control-regex -- control characters are what it looks for
const controls = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/

/** The contract's own formats, for the validator that Fastify brings along. */
const formats = {
  line: (text: string) => !controls.test(text) && text.isWellFormed() && text.trim() === text,
  'object-name': /^[A-Za-z][A-Za-z0-9_]*$/,
}

const answers = {
  200: {
    type: 'object',
    properties: { operationId: { type: 'string' } },
    required: ['operationId'],
  },
}

/** The write call and the two calls of the bench, with Fastify as it comes. */
function createFront({ accept, drain, done }: Peer): FastifyInstance {
  const app = fastify({ ajv: { customOptions: { formats } } })
  app.post<{ Params: { object: string }; Body: WriteRequest }>(
    '/v1/projects/:project/integrations/:integration/objects/:object',
    { schema: { body: WriteRequest, response: answers } },
    async ({ params: { object }, body: { type, externalIdField = null, record } }, reply) => {
      if (record === undefined) return reply.code(400).send({ message: 'record is required' })
      return { operationId: await accept({ object, type, externalIdField, record }) }
    },
  )
  app.post('/drain', async (_, reply) => {
    if (role === 'api') return reply.code(409).send({ message: 'this process has no worker' })
    await drain()
    return {}
  })
  app.get('/done', () => done())
  return app
}

/** Serves a peer on `PORT` until the process is told to end. */
export async function serve(peer: Peer): Promise<void> {
  if (!['api', 'worker', 'all'].includes(role)) throw new Error('ROLE is api, worker or all')
  const app = createFront(peer)
  endWith(async () => {
    await app.close()
    await peer.stop()
  })
  const port = process.env['PORT'] === '0' ? 0 : numberFrom('PORT', 8080)
  tell({ listening: await app.listen({ host: '127.0.0.1', port }) })
}
