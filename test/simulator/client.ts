import { afterEach } from 'vitest'
import { startSimulator } from '../../src/simulator/start.ts'
import type { Org, Simulator, SimulatorOptions } from '../../src/simulator/start.ts'

/** An answer, read whole. */
export interface Reply {
  status: number
  headers: Headers
  /** Parsed when it is JSON. */
  body: unknown
}

/** A collections item. */
export interface Item {
  id?: string
  success: boolean
  created?: boolean
  errors: { statusCode: string; message: string; fields: string[] }[]
}

/** A client with a session of its own. */
export interface Client {
  readonly url: string
  readonly org: Org
  readonly simulator: Simulator
  token: string
  /** Calls a path; one that does not start with a slash is below `/services/data/v60.0/`. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>
  /** Calls `composite/sobjects…` and answers the items. */
  items(method: string, path: string, body?: unknown): Promise<Item[]>
}

const running: Simulator[] = []

afterEach(async () => {
  await Promise.all(running.splice(0).map((simulator) => simulator.close()))
})

/** Starts a simulator that ends with the test. */
export async function start(options: SimulatorOptions = {}): Promise<Simulator> {
  const simulator = await startSimulator(options)
  running.push(simulator)
  return simulator
}

/** Starts a simulator and opens a session. */
export async function connect(options: SimulatorOptions = {}): Promise<Client> {
  const simulator = await start(options)
  const { url, org } = simulator
  const reply = await postToken(url, refreshForm())
  const client: Client = {
    url,
    org,
    simulator,
    token: (reply.body as { access_token: string }).access_token,
    call: (method, path, body, headers = {}) =>
      request(method, path.startsWith('/') ? url + path : `${url}/services/data/v60.0/${path}`, body, {
        Authorization: `Bearer ${client.token}`,
        ...headers,
      }),
    items: async (method, path, body) => {
      const answer = await client.call(method, `composite/sobjects${path}`, body)
      if (answer.status !== 200) throw new Error(`HTTP ${answer.status}: ${JSON.stringify(answer.body)}`)
      return answer.body as Item[]
    },
  }
  return client
}

/** One HTTP request, with redirects left alone. A text body is sent as it is. */
export async function request(
  method: string,
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    headers: { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: isRaw(body) ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = (response.headers.get('content-type') ?? '').startsWith('application/json')
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text }
}

const isRaw = (body: unknown): body is string | Uint8Array<ArrayBuffer> =>
  typeof body === 'string' || body instanceof Uint8Array

/** The form of a refresh with the demo app; entries may be replaced. */
export const refreshForm = (changes: Record<string, string> = {}): Record<string, string> => ({
  grant_type: 'refresh_token',
  refresh_token: 'demo-refresh-token',
  client_id: 'writeback-demo',
  client_secret: 'demo-secret',
  ...changes,
})

/** Posts a form to the token endpoint. */
export const postToken = (
  url: string,
  form: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Reply> =>
  request('POST', `${url}/services/oauth2/token`, new URLSearchParams(form).toString(), {
    'Content-Type': 'application/x-www-form-urlencoded',
    ...headers,
  })

/** A record of a collections body. */
export const record = (type: string, fields: Record<string, unknown> = {}): Record<string, unknown> => ({
  attributes: { type },
  ...fields,
})

/** Contacts named by number. */
export const contacts = (count: number): Record<string, unknown>[] =>
  Array.from({ length: count }, (_, i) => record('Contact', { LastName: `Person ${i}` }))

/** The codes of an item's errors. */
export const codes = (item: Item | undefined): string[] =>
  (item?.errors ?? []).map((error) => error.statusCode)
