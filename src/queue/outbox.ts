import type { Tx } from '../db/connect.ts'
import { NOTIFICATION_CHANNEL } from '../model/notification.ts'

/**
 * Says on a channel, when the transaction commits, that operations of one installation have ended, and looks in
 * the same statement whether their project has anybody who is to be told: mostly it has not, and then this is
 * all that it costs.
 */
export const announceOn = (tx: Tx, channel: string, payload: string, operationId: string) => tx<
  { hasDestinations: boolean }[]
>`
  select pg_notify(${channel}, ${payload}), exists (
    select from destination d
    where d.enabled and d.project_id = coalesce(
      (select project_id from write where id = ${operationId}),
      (select project_id from operation where id = ${operationId})
    )
  ) as "hasDestinations"`

/**
 * Puts the event of each of these operations, which have ended in this transaction, into the outbox, once for
 * every destination of their project that is switched on. What is told is kept as it is now: the operation may
 * be retried, its rows dropped and its installation deleted before the event is delivered.
 *
 * @param operationIds operations of one project, at least one
 */
export const putInOutbox = (tx: Tx, operationIds: string[]) => tx`
  with project as materialized (
    select coalesce(
      (select project_id from write where id = ${operationIds[0] ?? null}),
      (select project_id from operation where id = ${operationIds[0] ?? null})
    ) as id
  ), told as (
    insert into notification (id, project_id, destination_id, operation_id, due_at, data)
    select new_event_id(), d.project_id, d.id, o.id,
      statement_timestamp() + make_interval(secs => coalesce(d.digest_seconds, 0)), o.data
    from destination d cross join lateral (
      select e.id, e.place, json_build_object(
        'projectId', d.project_id,
        'provider', coalesce(g.provider, gone.provider),
        'integrationId', l.integration_id,
        'integrationName', coalesce(g.name, gone.integration_name),
        'installationId', l.installation_id,
        'connectionId', coalesce(i.connection_id, gone.connection_id),
        'groupRef', coalesce(i.group_ref, gone.group_ref),
        'objectName', f.object_name,
        'success', r.success,
        'successfulRecordIds', r.record_ids,
        'errors', r.errors,
        'operationId', e.id,
        'reference', f.reference
      ) as data
      from unnest(${operationIds}::uuid[]) with ordinality as e (id, place)
      cross join lateral (
        (select w.object_name, w.reference, array[w.id] as members from write w where w.id = e.id limit 1)
        union all
        (select b.object_name, b.reference, b.members from operation b where b.id = e.id limit 1)
      ) f
      cross join lateral (
        select (array_agg(w.lane_id))[1] as lane_id, bool_or(w.state = 'succeeded') as success,
          coalesce(json_agg(w.record_id order by m.place) filter (where w.state = 'succeeded' and w.record_id is not null), '[]') as record_ids,
          coalesce(json_agg(x.error order by m.place, x.place) filter (where x.error is not null), '[]') as errors
        from unnest(f.members) with ordinality as m (id, place)
        cross join lateral (select lane_id, state, record_id, errors from write where id = m.id limit 1) w
        left join lateral jsonb_array_elements(case when w.state <> 'succeeded' then w.errors end)
          with ordinality as x (error, place) on true
      ) r
      join lane l on l.id = r.lane_id
      left join integration g on g.id = l.integration_id
      left join installation i on i.id = l.installation_id
      left join deleted_installation gone on gone.id = l.installation_id
    ) o
    where d.enabled and d.project_id = (select id from project)
    order by o.place
    returning destination_id
  )
  select pg_notify(${NOTIFICATION_CHANNEL}, t.id::text)
  from (select distinct destination_id as id from told) t`
