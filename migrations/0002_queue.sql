-- The queue: what is written, in which lane it waits, in which batch it left, and what came of each
-- attempt (design, Tables). Times are the database's own, so that processes on skewed hosts agree.

-- One row per group key. A hot lane is updated once per commit of many writes, so it keeps room on its
-- pages and is vacuumed early. waiting, max_records, due_at and from_id sum up the lane's queued rows;
-- every claim sets them anew from the rows it sees, so an error in them heals by itself.
create table lane (
  id                 uuid primary key,
  project_id         uuid not null,
  integration_id     uuid not null,
  installation_id    uuid not null,
  object_name        text not null,
  type               text not null check (type in ('create', 'update', 'upsert', 'delete')),
  external_id_field  text,
  all_or_none        boolean not null default false,
  on_rollback        text not null default 'fail' check (on_rollback in ('fail', 'resend')),
  merge              boolean not null default false,
  headers            jsonb not null default '[]',
  options            jsonb not null default '{}',
  -- hash of all the columns that make the key; unique with the installation
  key_hash           bytea not null,
  -- queued writes that were never sent: when max_records of them wait, the lane is full. Those that wait
  -- for another try are not counted, since they leave at their own times
  waiting            integer not null default 0,
  -- the smallest maxRecords among the oldest members, as far as known: when that many wait, the lane is due
  max_records        smallint not null default 100,
  -- when the lane must be looked at: its earliest deadline, now when it is full, null when nothing waits
  due_at             timestamptz,
  -- no waiting row has a smaller id: keeps the claim out of the partitions of days gone by
  from_id            uuid,
  created_at         timestamptz not null default now(),
  unique (installation_id, key_hash)
) with (fillfactor = 50, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0.05);
create index lane_due on lane (due_at) where due_at is not null;

-- The order in which writes were accepted. A lane's row is locked before its writes take their numbers,
-- so within a lane it is also the order in which they were committed.
create sequence write_seq as bigint;

-- One row per record. The id is a UUIDv7, so a day's writes share a partition, a look-up by id
-- touches one partition, and retention drops whole ones. The one index beside the key holds
-- waiting rows only: finished rows cost the claim nothing.
create table write (
  id               uuid not null,
  seq              bigint not null default nextval('write_seq'),
  lane_id          uuid not null,
  installation_id  uuid not null,
  project_id       uuid not null,
  config_id        uuid not null,
  state            text not null default 'queued'
                     check (state in ('queued', 'sending', 'succeeded', 'failed', 'in_doubt', 'cancelled')),
  -- not claimed before this time: acceptance, or the end of a backoff
  available_at     timestamptz not null,
  -- leaves at the latest at this time
  due_at           timestamptz not null,
  -- retries end here
  deadline_at      timestamptz not null,
  max_records      smallint not null check (max_records between 1 and 100),
  bytes            integer not null,
  -- the record as the provider takes it: a JSON object text
  record           text not null,
  object_name      text not null,
  reference        text,
  attempts         integer not null default 0,
  last_attempt_at  timestamptz,
  -- the batch that claimed it last: the fence of every settlement
  batch_id         uuid,
  record_id        text,
  created          boolean,
  errors           jsonb,
  accepted_at      timestamptz not null,
  updated_at       timestamptz not null,
  ended_at         timestamptz,
  primary key (id),
  check ((state in ('queued', 'sending')) = (ended_at is null)),
  check (state <> 'sending' or batch_id is not null)
) partition by range (id);
create index write_waiting on write (lane_id, available_at, seq) where state = 'queued';

-- One row per provider request that carried a group. state is the started mark: claimed (not yet
-- sent: safe to send again), started (may have been sent), ended (settled).
create table batch (
  id               uuid primary key,
  lane_id          uuid not null,
  installation_id  uuid not null,
  project_id       uuid not null,
  call_id          uuid not null,
  object_name      text not null,
  type             text not null,
  all_or_none      boolean not null,
  members          uuid[] not null,
  attempt          integer not null,
  state            text not null default 'claimed' check (state in ('claimed', 'started', 'ended')),
  worker           text not null,
  lease_until      timestamptz not null,
  claimed_at       timestamptz not null default now(),
  started_at       timestamptz,
  ended_at         timestamptz,
  provider_status  integer,
  answer           text,
  api_used         integer,
  api_limit        integer,
  success_count    integer,
  failure_count    integer,
  check ((state = 'ended') = (ended_at is not null))
);
create index batch_open on batch (lease_until) where state <> 'ended';
create index batch_by_installation on batch (installation_id, id);

-- One row per write and provider call: the operation's log.
create table attempt (
  write_id    uuid not null,
  number      integer not null,
  batch_id    uuid not null,
  position    smallint not null,
  -- what was decided: succeeded, failed, retry, in_doubt
  decision    text not null,
  status      integer,
  errors      jsonb,
  next_at     timestamptz,
  started_at  timestamptz,
  ended_at    timestamptz not null default now(),
  primary key (write_id, number)
) partition by range (write_id);

-- A UUIDv7 begins with its millisecond, so a day's ids are one range. The default partitions take what
-- no day's partition covers (a host whose clock is far off): nothing accepted is ever refused for it.
create function uuid_at(at timestamptz) returns uuid
  language sql immutable strict parallel safe
  return (lpad(to_hex(floor(extract(epoch from at) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid;

create table write_default partition of write default with (fillfactor = 80);
create table attempt_default partition of attempt default;

-- Makes the partitions of the days from first_day to last_day that are not there yet.
create function make_partitions(first_day date, last_day date) returns integer
  language plpgsql as $$
declare
  day date;
  made integer := 0;
  parent text;
begin
  perform pg_advisory_xact_lock(hashtext('writeback.make_partitions'));
  for day in select generate_series(first_day, last_day, interval '1 day')::date loop
    foreach parent in array array['write', 'attempt'] loop
      if to_regclass(format('%I', parent || '_' || to_char(day, 'YYYYMMDD'))) is null then
        execute format(
          'create table %I partition of %I for values from (%L) to (%L)%s',
          parent || '_' || to_char(day, 'YYYYMMDD'), parent,
          uuid_at(day::timestamp at time zone 'UTC'), uuid_at((day + 1)::timestamp at time zone 'UTC'),
          case when parent = 'write'
            then ' with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05)'
            else '' end);
        made := made + 1;
      end if;
    end loop;
  end loop;
  return made;
end
$$;

select make_partitions((now() at time zone 'UTC')::date - 1, (now() at time zone 'UTC')::date + 7);
