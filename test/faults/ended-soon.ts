import type { Operation } from '../../src/contract/operation.ts'
import { waitUntil } from '../support/wait-until.ts'
import type { Scenario } from './scenario.ts'

/**
 * Ends the wait of those of the writes that wait for another try. May be called again and again while
 * workers run: lanes are locked before writes, as everywhere.
 */
export async function endWaits({ database }: Pick<Scenario, 'database'>, ids: string[]): Promise<void> {
  await database.sql.begin(async (tx) => {
    await tx`
      select from lane where id in (
        select lane_id from write
        where id = any (${ids}::uuid[]) and state = 'queued' and errors is not null and available_at > now()
      ) order by id for no key update`
    await tx`
      with again as (
        update write set available_at = now(), due_at = now()
        where id = any (${ids}::uuid[]) and state = 'queued' and errors is not null and available_at > now()
        returning lane_id
      )
      update lane set due_at = now(), held_by = null from again where lane.id = again.lane_id`
  })
}

/** The operations, once each has ended, with every wait for another try cut short on the way there. */
export async function endedSoon(scenario: Scenario, ids: string[]): Promise<Operation[]> {
  const { sql } = scenario.database
  await waitUntil(
    async () => {
      await endWaits(scenario, ids)
      const [row] = await sql<{ count: number }[]>`
        select count(*)::int as count from write
        where id = any (${ids}::uuid[]) and state in ('queued', 'sending')`
      return row!.count === 0
    },
    { timeoutMs: 20_000, what: `${ids.length} writes to end` },
  )
  return scenario.ended(ids)
}
