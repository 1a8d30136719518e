/**
 * No queue: each write is one jsforce call, made while its caller waits. As many run at once as there are
 * callers.
 */
import { randomUUID } from 'node:crypto'
import { Refused, serve, type Write } from './front.ts'
import { required } from './process.ts'
import { connect } from './salesforce.ts'
import { Tally } from './tally.ts'

const connection = await connect(required('LOGIN_URL'))
let inFlight = 0
const tally = new Tally(() => Promise.resolve(inFlight))

/** Sends one record. @throws jsforce's error when it was refused */
async function save({ object, type, externalIdField, record }: Write): Promise<void> {
  const table = connection.sobject(object)
  const Id = String(record['Id'] ?? record['id'])
  if (type === 'create') await table.create(record)
  else if (type === 'upsert') await table.upsert(record, externalIdField ?? 'Id')
  else if (type === 'update') await table.update({ ...record, Id })
  else await table.destroy(Id)
}

await serve({
  accept: async (write) => {
    tally.calls += 1
    inFlight += 1
    try {
      await save(write)
      tally.succeeded += 1
    } catch (error) {
      tally.failed += 1
      throw new Refused(String(error))
    } finally {
      inFlight -= 1
    }
    return randomUUID()
  },
  drain: () => Promise.resolve(),
  done: () => tally.read(),
  stop: () => Promise.resolve(),
})
