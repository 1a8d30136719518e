import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** An org that takes every record as it comes and keeps it. */
export interface CapturingOrg {
  url: string
  /** The texts of the records that arrived, without `attributes`; read like any JSON and written again. */
  records: string[]
  close: () => Promise<void>
}

interface Part {
  method: string
  url: string
  body?: { records: Record<string, unknown>[] }
  referenceId?: string
}

/** Starts an org whose collections and composite calls always succeed. */
export async function startCapturingOrg(): Promise<CapturingOrg> {
  const records: string[] = []
  let made = 0
  const write = ({ body }: Part): unknown =>
    (body?.records ?? []).map((record) => {
      const fields = Object.entries(record).filter(([name]) => name !== 'attributes')
      records.push(JSON.stringify(Object.fromEntries(fields)))
      made += 1
      return { id: `003RM${String(made).padStart(10, '0')}`, success: true, errors: [] }
    })
  const answer = async (request: IncomingMessage): Promise<unknown> => {
    const body = JSON.parse(await text(request)) as Part['body'] & { compositeRequest?: Part[] }
    if (body.compositeRequest === undefined) return write({ method: 'POST', url: '', body })
    const compositeResponse = body.compositeRequest.map((part) => ({
      body: write(part),
      httpHeaders: {},
      httpStatusCode: 200,
      referenceId: part.referenceId,
    }))
    return { compositeResponse }
  }
  const server = createServer((request, response) => {
    void answer(request).then((body) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(body))
    })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    records,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      }),
  }
}
