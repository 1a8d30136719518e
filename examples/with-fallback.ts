// A write that must be made soon: through the queue, and at once where the queue does not do it in time. Never twice.
import { createClient, isWritebackError, type FallbackWrite } from 'writeback/client'

const client = createClient({
  baseUrl: process.env['WRITEBACK_URL'] ?? 'http://127.0.0.1:8080',
  apiKey: process.env['WRITEBACK_API_KEY'] ?? '',
  project: process.env['WRITEBACK_PROJECT'] ?? 'acme',
  integration: process.env['WRITEBACK_INTEGRATION'] ?? 'crm',
})
const order: FallbackWrite = {
  groupRef: process.env['GROUP_REF'] ?? 'customer-42',
  type: 'upsert',
  externalIdField: 'External_Id__c',
  record: { External_Id__c: 'order-4711', LastName: 'Ngata' },
}

try {
  const outcome = await client.withFallback('Contact', order, {
    // The queue has two seconds; then the write is promoted, or sent if the queue never took it.
    settleWithinMs: 2_000,
    // Yours, so that your own program can be started again in the middle of it.
    idempotencyKey: 'order-4711-v1',
  })
  console.log(`${outcome.state} by the ${outcome.via} way as ${outcome.records[0]?.recordId ?? 'nothing'}`)
} catch (error) {
  if (!isWritebackError(error)) throw error
  // Nothing is lost: what was accepted goes on, and calling again with the same key never writes twice.
  console.log(`no outcome yet (${error.code}): call again with the key ${error.idempotencyKey ?? ''}`)
  process.exitCode = 1
}
