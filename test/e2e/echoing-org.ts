import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A host that writes everything it is sent into its errors. */
export interface EchoingOrg {
  url: string
  /** Everything secret that it minted or was sent. */
  secrets: Set<string>
  close: () => Promise<void>
}

interface Reply {
  status: number
  type?: string
  body: string
}

/** Opens sessions for clients whose id begins with `good`, refuses those of others in the way that their id says. */
export async function startEchoingOrg(): Promise<EchoingOrg> {
  const secrets = new Set<string>()
  const mint = (): string => {
    const made = randomBytes(40).toString('base64url')
    secrets.add(made)
    return made
  }
  const server = createServer((request, response) => {
    void readAll(request).then((body) => {
      const reply = request.url?.includes('/oauth2/token') ? token(body) : api(request, body)
      response.writeHead(reply.status, { 'content-type': reply.type ?? 'application/json' })
      response.end(reply.body)
    })
  })
  const token = (body: string): Reply => {
    const form = new URLSearchParams(body)
    for (const name of ['client_secret', 'refresh_token', 'assertion'])
      if (form.has(name)) secrets.add(form.get(name)!)
    const clientId = form.get('client_id') ?? 'jwt'
    const all = [...form.values()].join(' ')
    const echo = `${all} | ${body} | ${Buffer.from(all).toString('base64')} | ${Buffer.from(form.get('client_secret') ?? '').toString('base64')} | ${all.slice(0, 60)}`
    if (clientId.startsWith('good')) {
      const answer = { access_token: mint(), refresh_token: mint(), instance_url: url, id: `${url}/id/x/y` }
      return { status: 200, body: JSON.stringify(answer) }
    }
    if (clientId.startsWith('page')) return { status: 500, type: 'text/html', body: `<html>${echo}</html>` }
    if (clientId.startsWith('text')) return { status: 403, type: 'text/plain', body: echo }
    if (clientId.startsWith('fine')) return { status: 200, body: JSON.stringify({ error: echo }) }
    return { status: 400, body: JSON.stringify({ error: `invalid_grant ${echo}`, error_description: echo }) }
  }
  let calls = 0
  const api = (request: IncomingMessage, body: string): Reply => {
    const header = request.headers.authorization ?? ''
    const bearer = header.replace(/^Bearer /, '')
    secrets.add(bearer)
    const message = `${header} ${JSON.stringify(request.headers)} ${bearer.slice(0, 20)} ${Buffer.from(bearer).toString('hex')}`
    calls += 1
    // per record, then for the whole request, then the session refused
    if (calls % 3 === 1) {
      const records = Array.isArray((parse(body) as { records?: unknown } | null)?.records)
        ? (parse(body) as { records: unknown[] }).records
        : [null]
      const item = {
        success: false,
        errors: [{ statusCode: 'FIELD_CUSTOM_VALIDATION_EXCEPTION', message: header, fields: [] }],
      }
      return { status: 200, body: JSON.stringify(records.map(() => item)) }
    }
    if (calls % 3 === 2)
      return { status: 400, body: JSON.stringify([{ errorCode: 'INVALID_FIELD', message }]) }
    return { status: 401, body: JSON.stringify([{ errorCode: 'INVALID_SESSION_ID', message }]) }
  }
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', () => listening()))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    secrets,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      }),
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
