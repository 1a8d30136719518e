import { setTimeout as delay } from 'node:timers/promises'
import { concurrently, unexpected, type Call } from '../../src/cli/demo/client.ts'
import type { Operation } from '../../src/contract/operation.ts'
import type { Sql } from '../../src/db/connect.ts'
import type { OperationFate } from './evidence.ts'
import type { Project } from './parts.ts'

/** Milliseconds between two looks at what has not ended. */
const LOOK_MS = 500
/** Operations read at once. */
const WIDTH = 12

/** What draining needs. */
export interface DrainOptions {
  sql: Sql
  /** Seconds without any write ending after which the rest is not waited for any more. */
  patienceSeconds: number
  onProgress: (unended: number) => void
  signal: AbortSignal
}

/** Waits until every write has ended, or none does any more; returns how many have not. */
export async function drain({ sql, patienceSeconds, onProgress, signal }: DrainOptions): Promise<number> {
  let least = Infinity
  let movedAt = performance.now()
  for (;;) {
    signal.throwIfAborted()
    const [row] = await sql<{ count: number }[]>`
      select count(*)::int as count from write where state in ('queued', 'sending')`
    const unended = row?.count ?? 0
    onProgress(unended)
    if (unended < least) movedAt = performance.now()
    least = Math.min(least, unended)
    if (unended === 0 || performance.now() - movedAt > patienceSeconds * 1000) return unended
    await delay(LOOK_MS)
  }
}

/** Reads operations as any caller would; null for those that are not there. */
export async function readOperations(
  call: Call,
  { projectId }: Project,
  ids: readonly string[],
): Promise<Map<string, OperationFate | null>> {
  const fates = await concurrently(ids, WIDTH, async (id) => {
    const path = `/v1/projects/${projectId}/operations/${id}`
    const answer = await call('GET', path)
    if (answer.status === 404) return null
    if (answer.status !== 200) throw unexpected('GET', path, answer)
    return fateOf(answer.body as Operation)
  })
  return new Map(ids.map((id, place) => [id, fates[place] ?? null]))
}

const fateOf = ({ metadata }: Operation): OperationFate => ({
  state: metadata.state,
  records: metadata.records.map(({ success, errors, recordId }) => ({
    success,
    code: errors[0]?.code ?? null,
    recordId: recordId ?? null,
  })),
})
