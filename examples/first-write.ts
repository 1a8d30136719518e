// One asynchronous write: give it to the queue, then wait for what became of it.
import { createClient } from 'writeback/client'

const client = createClient({
  baseUrl: process.env['WRITEBACK_URL'] ?? 'http://127.0.0.1:8080',
  apiKey: process.env['WRITEBACK_API_KEY'] ?? '',
  project: process.env['WRITEBACK_PROJECT'] ?? 'acme',
  integration: process.env['WRITEBACK_INTEGRATION'] ?? 'crm',
})

const { operationId } = await client.write('Contact', {
  groupRef: process.env['GROUP_REF'] ?? 'customer-42',
  type: 'create',
  mode: 'asynchronous',
  record: { LastName: 'Ngata', Email: 'ngata@example.com' },
  // It leaves within two seconds, together with whatever else waits by then.
  autoBatchPolicy: { maxDelaySeconds: 2 },
})
console.log(`accepted as ${operationId}`)

const operation = await client.wait(operationId)
const [record] = operation.metadata.records
if (operation.status === 'success') console.log(`written as ${record?.recordId ?? 'an unknown id'}`)
else console.log(`${operation.metadata.state}: ${record?.errors[0]?.message ?? operation.result}`)
process.exitCode = operation.status === 'success' ? 0 : 1
