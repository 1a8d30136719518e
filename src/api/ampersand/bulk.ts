import type { IncomingMessage } from 'node:http'
import { setImmediate } from 'node:timers/promises'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import {
  BulkAnswer,
  BulkEnvelope,
  BulkRequest,
  BulkResult,
  BulkWrite,
  LINE_TYPES,
  MAX_BULK_BYTES,
  MAX_BULK_WRITES,
} from '../../contract/bulk.ts'
import { IntegrationPath } from '../../contract/fields.ts'
import { WritebackError, type Issue } from '../../kernel/errors.ts'
import { requireScope } from '../auth.ts'
import { isPlain, isUtf8Declared, readJson } from '../json-body.ts'
import { problems } from '../openapi.ts'
import { BODY_LIMIT } from '../server.ts'
import { streamRequest } from '../streamed-requests.ts'
import { invalidInput } from '../validation.ts'
import { asJson, asLines, createAnswers, type Answers, type Framing } from './bulk-answers.ts'
import { itemsOfJson, itemsOfLines, type Item } from './bulk-items.ts'
import { watchProgress, type Progress } from './bulk-progress.ts'
import { createRoom, type BulkRoom } from './bulk-room.ts'
import { createTaker, type BulkPort, type Taker } from './bulk-take.ts'

/** Bounds of bulk calls. */
export interface BulkLimits {
  /** Writes of one call. */
  writes: number
  /** Bytes of one call, and of one line of it. */
  bytes: number
  line: number
  /** Results that are awaited or not yet read; characters of those. */
  open: number
  unread: number
  /** Writes, and bytes of them, that all calls of the process may have on their way to a commit. */
  inWork: number
  inWorkBytes: number
  /** Milliseconds that a client may let pass without sending or reading anything. */
  stallMs: number
}

/**
 * All results of one call fit into `open`, so that a client which sends everything before it reads
 * anything is answered too. A commit takes 1,000 writes: `inWork` keeps one running and the next ones full.
 */
const usualLimits: BulkLimits = {
  writes: MAX_BULK_WRITES,
  bytes: MAX_BULK_BYTES,
  line: BODY_LIMIT,
  open: 4_096,
  unread: 16 * 1024 * 1024,
  inWork: 3_000,
  inWorkBytes: 12 * 1024 * 1024,
  stallMs: 60_000,
}

/** JSON items between two turns of the event loop. */
const ITEMS_PER_TURN = 50

/** The body as this route's parsers leave it. */
type BulkBody =
  { kind: 'lines'; raw: IncomingMessage } | { kind: 'json'; bytes: number; value: unknown; issues: Issue[] }

const description = `Up to ${MAX_BULK_WRITES.toLocaleString('en')} independent asynchronous writes of one record each in one call of up to 32 MB: as NDJSON (\`application/x-ndjson\`), a write on each line and its result on the same line of the answer, or as JSON, \`{writes: [...]}\` answered with \`{results: [...]}\`. Results come in the order of the writes.

Each write is accepted or refused by itself, with \`{operationId}\` once it is committed to the database or with \`{problem}\`, which names all that is wrong with it: one that is refused leaves the others as they are. The status is 200 whatever became of the writes; a call is refused as a whole only for what concerns all of it.

NDJSON is read and answered as a stream, however long it takes, as long as bytes move: send and read at the same time. Blank lines are skipped and have no result. A line over 6 MB, and what comes after ${MAX_BULK_WRITES.toLocaleString('en')} writes or 32 MB, is refused by its number. An answer that is cut off says nothing of the writes whose results are missing: with an \`idempotencyKey\` each, all can be sent again.`

const lineContent = (schema: object) =>
  Object.fromEntries(LINE_TYPES.slice(0, 1).map((type) => [type, { schema }]))

const schema = {
  summary: 'Write many records',
  description,
  tags: ['Writing'],
  params: IntegrationPath,
  body: { content: { 'application/json': { schema: BulkRequest }, ...lineContent(BulkWrite) } },
  response: {
    200: {
      description: 'What became of each write; of NDJSON, one result on each line.',
      content: { 'application/json': { schema: BulkAnswer }, ...lineContent(BulkResult) },
    },
    ...problems,
  },
}

/** The bulk call (contract section 5): many asynchronous writes, each with its own answer. */
export function bulkRoutes(port: BulkPort, given: Partial<BulkLimits> = {}): FastifyPluginAsync {
  const limits = { ...usualLimits, ...given }
  const room = createRoom({ writes: limits.inWork, bytes: limits.inWorkBytes })
  return (app) => {
    takeBulkBodies(app)
    closeAfterAnswers(app)
    const checks = {
      write: app.validation.compile({ schema: BulkWrite, httpPart: 'body' }),
      envelope: app.validation.compile({ schema: BulkEnvelope, httpPart: 'body' }),
    }
    app.post(
      '/projects/:project/integrations/:integration/writes',
      {
        onRequest: requireScope('write'),
        bodyLimit: limits.bytes,
        // A body is validated write by write.
        validatorCompiler: (part) => (part.httpPart === 'body' ? () => true : app.validation.compile(part)),
        schema,
      },
      (request, reply) => {
        if (request.headers['idempotency-key'] !== undefined) throw keyOfCall()
        const body = request.body as BulkBody | undefined
        if (body === undefined) throw unsupportedBulkType()
        const call = { port, validate: checks.write, request, reply, room, limits }
        if (body.kind === 'lines') return answerLines(call, body.raw)
        if (!checks.envelope(body.value)) throw app.validation.toError(checks.envelope.errors, 'body')
        const { writes } = body.value as BulkEnvelope
        if (writes.length > limits.writes) throw tooManyWrites(limits.writes)
        return answerJson(call, itemsOfJson({ writes, issues: body.issues, bytes: body.bytes }))
      },
    )
    return Promise.resolve()
  }
}

/** Lines are left where they are; of JSON, what cannot be kept is refused with the write that it is in. */
function takeBulkBodies(app: FastifyInstance): void {
  const check = ({ headers }: FastifyRequest): void => {
    if (!isPlain(headers['content-encoding']) || !isUtf8Declared(headers['content-type']))
      throw unsupportedBulkType()
  }
  app.removeAllContentTypeParsers()
  app.addContentTypeParser([...LINE_TYPES], (request, raw, done) => {
    check(request)
    done(null, { kind: 'lines', raw } satisfies BulkBody)
  })
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, bytes, done) => {
    check(request)
    const read = readJson(bytes, 'The body', Infinity)
    done(null, { kind: 'json', bytes: bytes.length, ...read } satisfies BulkBody)
  })
  app.addContentTypeParser('*', () => {
    throw unsupportedBulkType()
  })
}

/** Ends the connections of calls that are answered while the server closes: it would wait for their next request. */
function closeAfterAnswers(app: FastifyInstance): void {
  let isClosing = false
  app.addHook('preClose', (done) => {
    isClosing = true
    done()
  })
  app.addHook('onResponse', (request, _, done) => {
    if (isClosing) request.raw.socket.end()
    done()
  })
}

const unsupportedBulkType = (): WritebackError =>
  new WritebackError('UNSUPPORTED_MEDIA_TYPE', 'The body is declared neither as NDJSON nor as JSON.', {
    remedy: `Send UTF-8 with Content-Type: ${LINE_TYPES[0]} or application/json and no Content-Encoding.`,
  })

const keyOfCall = (): WritebackError =>
  invalidInput(
    [
      {
        path: '/headers/idempotency-key',
        message: 'is for a single write: give each write of a bulk call its own idempotencyKey',
      },
    ],
    'call',
  )

const tooManyWrites = (most: number): WritebackError =>
  invalidInput([{ path: '/writes', message: `must have at most ${most} entries` }])

/** One bulk call. */
interface Call {
  port: BulkPort
  validate: Parameters<typeof createTaker>[0]['validate']
  request: FastifyRequest
  reply: FastifyReply
  room: BulkRoom
  limits: BulkLimits
}

function answerLines(call: Call, raw: IncomingMessage): FastifyReply {
  const streamed = streamRequest(raw)
  return answer(call, itemsOfLines(raw, call.limits), asLines, LINE_TYPES[0], streamed.done)
}

function answerJson(call: Call, items: Item[]): FastifyReply {
  return answer(call, inTurns(items), asJson, 'application/json; charset=utf-8')
}

async function* inTurns(items: Item[]): AsyncGenerator<Item[], void> {
  for (let at = 0; at < items.length; at += ITEMS_PER_TURN) {
    yield items.slice(at, at + ITEMS_PER_TURN)
    await setImmediate()
  }
}

/** Answers items as they are taken; `onRead` is called when all have been, or the client has gone away. */
function answer(
  call: Call,
  items: AsyncIterable<Item[]>,
  framing: Framing,
  type: string,
  onRead: () => void = () => undefined,
): FastifyReply {
  const { port, validate, request, reply, room, limits } = call
  const answers = createAnswers(framing, { open: limits.open, unread: limits.unread }, () => progress.moved())
  const taker = createTaker({ port, validate, request, answers, room })
  const progress = watchProgress({
    stallMs: limits.stallMs,
    isOurTurn: () => taker.inWork > 0 || room.isFull,
    onStalled: () => {
      if (!reply.raw.headersSent) reply.header('connection', 'close')
      answers.fail(stalled())
    },
  })
  answers.stream.once('close', () => {
    progress.stop()
    logFailures(call, taker.failures)
  })
  takeAll(items, { answers, taker, room, progress }).then(answers.end, answers.fail).finally(onRead)
  return reply.type(type).send(answers.stream)
}

/** In order, and only as many as there is room for: what waits is left where it is, with the client in the end. */
async function takeAll(items: AsyncIterable<Item[]>, parts: Taking): Promise<void> {
  const { answers, taker, room, progress } = parts
  for await (const group of items) {
    progress.moved()
    taker.renew()
    for (const item of group) {
      while (!answers.isClosed && (room.isFull || !answers.hasRoom))
        await (room.isFull ? room.freed() : answers.read())
      if (answers.isClosed) return
      const pending = taker.take(item, answers.open())
      if (pending !== undefined) await pending
    }
  }
}

/** What a call is taken with. */
interface Taking {
  answers: Answers
  taker: Taker
  room: BulkRoom
  progress: Progress
}

const stalled = (): WritebackError =>
  new WritebackError('REQUEST_TIMEOUT', 'The client neither sent nor read anything for too long.')

function logFailures({ port, request }: Call, { count, first }: Taker['failures']): void {
  if (count > 0)
    port.logger.warn({ requestId: request.id, count, err: first }, 'writes of a bulk call failed')
}
