import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { createClient, type Client, type ClientOptions } from '../../src/client/index.ts'
import { ADMIN_KEY, type Service } from '../support/service.ts'

/** A client of the tenant of a service, quick to try again. */
export const clientOf = (
  { app, tenant }: Pick<Service, 'app' | 'tenant'>,
  part: Partial<ClientOptions> = {},
): Client =>
  createClient({
    baseUrl: app.url,
    apiKey: ADMIN_KEY,
    project: tenant.projectId,
    integration: tenant.integrationId,
    retry: { minDelayMs: 1, maxDelayMs: 20 },
    ...part,
  })

/** A request as a stand-in got it. */
export interface Seen {
  method: string
  path: string
  headers: IncomingMessage['headers']
  body: string
}

/** A server that answers as it is told, in place of a service or of what stands before one. */
export interface StandIn {
  url: string
  seen: Seen[]
  close: () => Promise<void>
}

/** Starts a stand-in; `answer` gets each request with the number of those before it. */
export async function startStandIn(
  answer: (request: Seen, response: ServerResponse, before: number) => void | Promise<void>,
): Promise<StandIn> {
  const seen: Seen[] = []
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const one = { method: request.method ?? '', path: request.url ?? '', headers: request.headers, body }
      seen.push(one)
      return answer(one, response, seen.length - 1)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** Answers with JSON. */
export function answerJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  const type = status >= 400 ? 'application/problem+json' : 'application/json'
  response.writeHead(status, { 'content-type': type, ...headers }).end(JSON.stringify(body))
}

/** A problem as the service tells it. */
export const problemOf = (status: number, code: string, part: Record<string, unknown> = {}) => ({
  type: 'urn:writeback:problem:x',
  title: code,
  status,
  detail: `It is ${code}.`,
  instance: 'urn:writeback:request:1',
  code,
  requestId: '1',
  time: '2026-08-01T12:00:00.000Z',
  retryable: true,
  ...part,
})

/** A client of a stand-in. */
export const clientOfStandIn = (standIn: StandIn, part: Partial<ClientOptions> = {}): Client =>
  createClient({
    baseUrl: standIn.url,
    apiKey: 'wb_secret-key',
    project: 'acme',
    integration: 'crm',
    retry: { minDelayMs: 1, maxDelayMs: 5 },
    ...part,
  })
