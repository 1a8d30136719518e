import type { Tx } from '../db/connect.ts'

/** A write that has ended in this transaction. */
export interface EndedWrite {
  id: string
  operation_id: string | null
}

/**
 * The operations that ended with these writes: each write that is one by itself, and the caller-built
 * batches that have no open member any more. Call it with the lanes of the writes locked where any of
 * them is of a caller-built batch, or two that end the last members at once would both see one left.
 */
export async function endOperations(tx: Tx, ended: EndedWrite[]): Promise<string[]> {
  const single = ended.flatMap((row) => (row.operation_id === null ? row.id : []))
  const ids = [...new Set(ended.flatMap((row) => row.operation_id ?? []))]
  if (ids.length === 0) return single
  const done = await tx<{ id: string }[]>`
    select o.id from operation o where o.id = any (${ids}::uuid[])
      and not exists (select from write w where w.id = any (o.members) and w.state in ('queued', 'sending'))`
  return [...single, ...done.map((row) => row.id)]
}
