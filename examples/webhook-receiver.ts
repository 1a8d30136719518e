// Receives what became of writes, as a destination of a project: verifies each call, and knows what it has seen.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { verifyWebhook, WebhookError } from 'writeback/client'

/** As the call that made the destination showed it, once. */
const secret = process.env['WEBHOOK_SECRET'] ?? ''
/** Outcomes come at least once: keep these with your own data, in the same transaction. */
const seen = new Set<string>()

const server = createServer((request, response) => {
  void receive(request).then(
    () => response.writeHead(204).end(),
    (error: unknown) => response.writeHead(error instanceof WebhookError ? 400 : 500).end(),
  )
})

async function receive(request: Parameters<Parameters<typeof createServer>[1] & object>[0]): Promise<void> {
  // The signature is of the bytes as they came, so nothing may read them as JSON before.
  const event = await verifyWebhook(await buffer(request), request.headers, secret)
  if (event.notificationType === 'destination.test') {
    console.log('a test call')
    return
  }
  const outcomes = event.notificationType === 'write.async.done' ? [event.data] : event.data
  for (const { operationId, success, successfulRecordIds, errors } of outcomes) {
    if (seen.has(operationId)) continue
    seen.add(operationId)
    console.log(
      success
        ? `${operationId}: written as ${successfulRecordIds.join(', ')}`
        : `${operationId}: ${errors[0]?.code ?? 'failed'}`,
    )
  }
}

server.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`)
})
process.once('SIGTERM', () => server.close())
