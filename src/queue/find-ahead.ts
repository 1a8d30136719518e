import type { Sql } from '../db/connect.ts'

/** The first unfinished write of a record that a synchronous call's own write must come after. */
export interface WriteAhead {
  id: string
  laneId: string
  /** Whether it waits in the queue and its turn has come; else it is in flight, or waits for its own batch. */
  waits: boolean
  /** Whether it is of a caller-built batch with allOrNone, which is claimed whole. */
  goesWhole: boolean
  /**
   * The operation whose end is to be waited for: that of this write, or, when nothing ahead waits in the
   * queue, that of the last one ahead. So of many calls to one record an end calls on one only.
   */
  operationId: string
}

/**
 * The heads of the chains that these writes stand in (contract section 6.4), one for each record: what is
 * behind a head is blocked until it has ended. Empty when these writes are the heads themselves.
 */
export const findAhead = (sql: Sql, installationId: string, writeIds: string[]): Promise<WriteAhead[]> =>
  sql<WriteAhead[]>`
    with own as materialized (
      select record_key, seq from write where id = any (${writeIds}::uuid[]) and record_key is not null
    )
    select distinct on (w.record_key) w.id, w.lane_id as "laneId", w.state = 'queued' and not w.blocked as waits,
      l.operation_id is not null and l.all_or_none as "goesWhole",
      case when bool_or(w.state = 'queued') over chain then coalesce(w.operation_id, w.id)
           else last_value(coalesce(w.operation_id, w.id)) over chain end as "operationId"
    from own o
    join write w on w.installation_id = ${installationId} and w.record_key = o.record_key and w.seq < o.seq
      and w.state in ('queued', 'sending') and w.id <> all (${writeIds}::uuid[])
    join lane l on l.id = w.lane_id
    window chain as (partition by w.record_key order by w.seq
                     rows between unbounded preceding and unbounded following)
    order by w.record_key, w.seq`
