import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { adminRequest } from './admin.ts'
import { answerRequest } from './answer-request.ts'
import type { Delivery } from './answer-request.ts'
import { ApiError } from './api-error.ts'
import type { Answer } from './api-error.ts'
import { factsOf, summaryOf } from './call-facts.ts'
import type { Call } from './call.ts'
import type { Org } from './org.ts'
import { maxBodyBytes, parseJson, unpack } from './request-body.ts'
import type { RequestEntry } from './request-log.ts'
import { parseTarget } from './request-target.ts'
import { routeInside, routeOutside } from './router.ts'
import { Transaction } from './table.ts'
import { pickSforceHeaders } from './write-headers.ts'

/** Longest url, and longest url with headers, in bytes (facts 6). */
const maxUrlBytes = 16_384

/** The HTTP server of an org, not yet listening. */
export function createOrgServer(org: Org, log: ((line: object) => void) | undefined): Server {
  const server = createServer({ maxHeaderSize: 4 * maxUrlBytes }, (req, res) => {
    serve(org, req, res, log).catch((error: unknown) => {
      log?.({ level: 'error', message: error instanceof Error ? error.stack : String(error) })
      if (res.headersSent) req.socket.destroy()
      else
        send(res, {
          status: 500,
          body: [{ errorCode: 'SIMULATOR_ERROR', message: 'the simulator itself failed' }],
        })
    })
  })
  // Longer than any client keeps idle connections, so that none is closed under a request just sent.
  server.keepAliveTimeout = 75_000
  server.requestTimeout = 0
  return server
}

async function serve(
  org: Org,
  req: IncomingMessage,
  res: ServerResponse,
  log: ((line: object) => void) | undefined,
): Promise<void> {
  const body = await readBody(req)
  if (body === undefined) return
  const url = req.url ?? '/'
  if (url.startsWith('/__admin')) {
    send(res, adminRequest(org, req.method ?? 'GET', parseTarget(url), body.toString('utf8')))
    return
  }
  const call = toCall(req, url, body)
  const facts = factsOf(org, call, routeInside)
  const entry = org.requests.start({
    method: call.method,
    path: call.path,
    ...summaryOf(facts),
    ...(facts.parts ? { parts: facts.parts.map(summaryOf) } : {}),
  })
  try {
    const { operations, objects, records } = facts
    const { method, path } = call
    const plan = org.faults.plan({ method, path, operations, objects, records, size: records.length })
    deliver(req, res, await answerRequest(org, facts, plan, entry), entry)
  } catch (error) {
    entry.status = 500
    throw error
  } finally {
    org.requests.finish(entry)
    const { seq, method, path, operation, recordCount, status, dropped } = entry
    log?.({ level: 'info', seq, method, path, operation, recordCount, status, dropped })
  }
}

/** The whole body; undefined when the caller went away while sending it. */
function readBody(req: IncomingMessage): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let size = 0
    req.on('data', (chunk: Buffer) => {
      size += chunk.length
      // One byte over is enough to be refused later; the rest need not be kept.
      if (size - chunk.length <= maxBodyBytes) chunks.push(chunk)
    })
    req.on('end', () => resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)))
    req.on('close', () => resolve(undefined))
    req.on('error', () => resolve(undefined))
  })
}

function toCall(req: IncomingMessage, url: string, body: Buffer): Call {
  const target = parseTarget(url)
  const method =
    (req.method === 'POST' && target.query.get('_HttpMethod')?.toUpperCase()) || (req.method ?? 'GET')
  const inside = target.version > 0
  const route = inside
    ? routeInside(method, target.segments, target.version)
    : routeOutside(method, target.path)
  const read = readText(req, url, body, inside)
  return {
    method,
    ...target,
    route,
    header: (name) => {
      const value = req.headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    },
    sforceHeaders: pickSforceHeaders(req.headers),
    rawBody: read.text,
    body: read.json,
    bodyPath: [],
    ...(read.error ? { bodyError: read.error } : {}),
    tx: new Transaction(),
  }
}

/** The body as text and, for data calls, as JSON; an error instead of throwing, since the session is checked first. */
function readText(
  req: IncomingMessage,
  url: string,
  body: Buffer,
  isJson: boolean,
): { text: string; json?: unknown; error?: ApiError } {
  let text = ''
  try {
    checkSizes(req, url, body)
    text = unpack(body, req.headers['content-encoding'])
    return isJson ? { text, json: parseJson(text) } : { text }
  } catch (error) {
    if (error instanceof ApiError) return { text, error }
    throw error
  }
}

function checkSizes(req: IncomingMessage, url: string, body: Buffer): void {
  if (url.length > maxUrlBytes) throw new ApiError(414, 'URI_TOO_LONG', 'the URI is longer than 16,384 bytes')
  const headerBytes = req.rawHeaders.reduce((sum, part) => sum + part.length + 2, 0)
  if (url.length + headerBytes > maxUrlBytes) {
    throw new ApiError(431, 'REQUEST_HEADER_FIELDS_TOO_LARGE', 'URI and headers are longer than 16,384 bytes')
  }
  if (body.length > maxBodyBytes)
    throw new ApiError(413, 'REQUEST_ENTITY_TOO_LARGE', 'the body is larger than 50 MB')
}

function deliver(req: IncomingMessage, res: ServerResponse, delivery: Delivery, entry: RequestEntry): void {
  if (req.socket.destroyed || delivery.kind === 'hang') {
    entry.dropped = true
    return
  }
  if (delivery.kind === 'drop') {
    entry.dropped = true
    req.socket.destroy()
    return
  }
  entry.status = delivery.answer.status
  if (delivery.kind === 'answer') {
    send(res, delivery.answer)
    return
  }
  entry.dropped = true
  const { text, headers } = encode(delivery.answer)
  res.writeHead(delivery.answer.status, headers)
  const half = text.slice(0, Math.ceil(text.length / 2))
  // Destroyed only once the half is out, or the caller might see no headers at all.
  res.write(half === '' ? ' ' : half, () => req.socket.destroy())
}

function send(res: ServerResponse, answer: Answer): void {
  const { text, headers } = encode(answer)
  res.writeHead(answer.status, headers)
  res.end(text)
}

function encode(answer: Answer): { text: string; headers: Record<string, string | number> } {
  const { status, body } = answer
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body)
  const headers: Record<string, string | number> = {}
  if (text !== '') headers['Content-Type'] = typeof body === 'string' ? typeOfText(text) : jsonType
  // These two have no body by definition, and so no length either.
  if (status !== 204 && status !== 304) headers['Content-Length'] = Buffer.byteLength(text)
  return { text, headers: { ...headers, ...answer.headers } }
}

const jsonType = 'application/json;charset=UTF-8'

const typeOfText = (text: string): string => (/^\s*[[{]/.test(text) ? jsonType : 'text/plain;charset=UTF-8')
