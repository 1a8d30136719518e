/** The limit of what one process can take over HTTP: the same schema, and an answer with an id. Nothing is kept. */
import { randomUUID } from 'node:crypto'
import { serve } from './front.ts'

await serve({
  accept: () => randomUUID(),
  drain: () => Promise.resolve(),
  done: () => Promise.resolve({ succeeded: 0, failed: 0, waiting: 0, calls: 0 }),
  stop: () => Promise.resolve(),
})
