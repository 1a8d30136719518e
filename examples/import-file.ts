// A file with a record on each line (NDJSON), imported by bulk calls: node import-file.ts contacts.ndjson
// Memory stays the same however long the file is, and the file can be given again: nothing is written twice.
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { createClient, type ManyWrite } from 'writeback/client'

const file = process.argv[2] ?? 'contacts.ndjson'
const groupRef = process.env['GROUP_REF'] ?? 'customer-42'
const client = createClient({
  baseUrl: process.env['WRITEBACK_URL'] ?? 'http://127.0.0.1:8080',
  apiKey: process.env['WRITEBACK_API_KEY'] ?? '',
  project: process.env['WRITEBACK_PROJECT'] ?? 'acme',
  integration: process.env['WRITEBACK_INTEGRATION'] ?? 'crm',
})

async function* writes(): AsyncGenerator<ManyWrite> {
  let line = 0
  for await (const text of createInterface({ input: createReadStream(file) })) {
    line += 1
    if (text.trim() === '') continue
    yield {
      objectName: 'Contact',
      groupRef,
      type: 'create',
      record: JSON.parse(text) as Record<string, unknown>,
      reference: `line-${line}`,
      // Names the line for a day at least: a second run finds what the first one did.
      idempotencyKey: `${file}:${line}`.replaceAll(/\s/g, '_').slice(-255),
    }
  }
}

const accepted: string[] = []
for await (const { index, operationId, error } of client.writeMany(writes())) {
  if (error === undefined) accepted.push(operationId)
  else console.log(`record ${index + 1} was refused: ${error.message}`)
}

const operations = await client.wait(accepted, { timeoutMs: 600_000 })
const failed = operations.filter((operation) => operation.status === 'failure')
for (const { metadata } of failed)
  console.log(
    `${metadata.reference ?? ''} failed: ${metadata.records[0]?.errors[0]?.message ?? metadata.state}`,
  )
console.log(`${operations.length - failed.length} written, ${failed.length} failed`)
