-- Calls that carry several groups, writes that are made at once, writes that are sent as one, and what an
-- org lets through (contract sections 5 and 6; design, Batching, Synchronous calls, Isolation and limits).

-- A caller-built batch: one operation, one write for each of its records, a lane of its own so that its
-- members never mix with others.
create table operation (
  id               uuid not null,
  project_id       uuid not null,
  integration_id   uuid not null,
  installation_id  uuid not null,
  config_id        uuid not null,
  object_name      text not null,
  type             text not null,
  all_or_none      boolean not null,
  reference        text,
  -- its writes, by the caller's positions
  members          uuid[] not null,
  accepted_at      timestamptz not null,
  primary key (id)
) partition by range (id);
create table operation_default partition of operation default;

alter table lane
  -- the caller-built batch that this lane is for
  add column operation_id uuid,
  -- why the lane was put off: connection, quota, limit, concurrency, session, parent; null when it was not
  add column held_by text;
-- The lanes of an installation that are due, and those that may ride along.
create index lane_of_installation on lane (installation_id, due_at) where due_at is not null;

alter table write
  -- the caller-built batch it is a record of, and its place there
  add column operation_id uuid,
  add column operation_index smallint,
  -- fields of the record that are sent only where the provider's record has no value yet
  add column if_empty text[],
  -- hashes of what the provider locks with the record: its parents
  add column parents uuid[],
  -- sent in one record with other waiting writes to it (contract section 6.4); merged_into names the
  -- first of them and is null for that one itself
  add column merged boolean not null default false,
  add column merged_into uuid,
  -- not to be sent as one with others again: that failed
  add column alone boolean not null default false,
  -- calls that a limit of the org turned away: they spend no attempt
  add column deferrals smallint not null default 0;

alter table batch
  -- made by a synchronous call, which waits for it
  add column synchronous boolean not null default false,
  -- what its members lock: no other call takes children of these meanwhile
  add column parents uuid[] not null default '{}';
create index batch_open_of_installation on batch (installation_id) where state <> 'ended';

-- How much is sent to an installation at once, and until when nothing is.
create table pacing (
  installation_id  uuid primary key,
  -- the org that its calls last went to, or that last held it
  org              text,
  -- calls in flight allowed after the last cut, and when that was; grows back by one a minute. Null: never cut
  concurrency      smallint,
  concurrency_at   timestamptz,
  -- past its share of the org's calls until the org's usage is below this percentage; null when it is not
  resumes_below    double precision,
  -- when one call looks whether that is still so
  probe_at         timestamptz,
  -- a limit of the org that passes in seconds turned a call away
  paused_until     timestamptz
) with (fillfactor = 50);
create index pacing_of_org on pacing (org);

-- API usage of an org as any of its answers last said it.
create table org_usage (
  org            text primary key,
  api_used       integer,
  api_limit      integer,
  read_at        timestamptz,
  -- the highest percentage that an installation of it waits for (pacing.resumes_below); null when none does
  resumes_below  double precision,
  -- the day's calls are used up: since when, as far as known, and when one call looks whether that is still so
  blocked_at     timestamptz,
  blocked_until  timestamptz,
  check ((blocked_at is null) = (blocked_until is null))
) with (fillfactor = 50);

create or replace function make_partitions(first_day date, last_day date) returns integer
  language plpgsql as $$
declare
  day date;
  made integer := 0;
  parent text;
begin
  perform pg_advisory_xact_lock(hashtext('writeback.make_partitions'));
  for day in select generate_series(first_day, last_day, interval '1 day')::date loop
    foreach parent in array array['write', 'attempt', 'operation'] loop
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
