-- Notifications (contract section 7): where a project's events go, and the outbox they leave through. A row of
-- the outbox is made in the transaction that ends its operation, and later is the log of its delivery.

-- secret and old_secret are ciphertexts that name their key (AES-256-GCM); both sign until old_secret_until.
-- digest_records and digest_seconds: up to so many events in one call, none waiting longer; null: one a call.
-- failing_since: since when every attempt has failed. Nothing here is changed by a delivery that succeeds
-- while the one before it did too.
create table destination (
  id                uuid primary key,
  project_id        uuid not null references project (id) on delete cascade,
  name              text not null check (length(name) between 1 and 255),
  type              text not null check (type = 'webhook'),
  url               text not null,
  secret            bytea not null,
  old_secret        bytea,
  old_secret_until  timestamptz,
  digest_records    smallint check (digest_records between 1 and 100),
  digest_seconds    integer check (digest_seconds >= 0),
  enabled           boolean not null default true,
  disabled_reason   text check (disabled_reason in ('by_hand', 'failing', 'receiver_gone')),
  disabled_at       timestamptz,
  failing_since     timestamptz,
  created_at        timestamptz not null default now(),
  unique (project_id, name),
  check ((digest_records is null) = (digest_seconds is null)),
  check ((old_secret is null) = (old_secret_until is null)),
  check (enabled = (disabled_at is null) and enabled = (disabled_reason is null))
);
create index destination_of_project on destination (project_id, id);

-- A UUIDv7 of the database's own: an event's id, which is its webhook-id too.
create function new_event_id() returns uuid
  language sql volatile
  return overlay(overlay(gen_random_uuid()::text placing left(uuid_at(clock_timestamp())::text, 13) from 1)
                 placing '7' from 15)::uuid;

-- One row per event and destination. No foreign keys: checking one would lock the destination's row in every
-- transaction that ends operations. What belongs to a deleted destination is sent no more, and removed later.
--
-- new: in no message yet. A message is one event, or a digest of several: its first event stands for it
-- (head), and the others are packed into that one. A message is waiting until it is delivered or has failed
-- for good. While an attempt is under way it has a claim, and due_at is when that claim is taken for lost.
create table notification (
  id              uuid primary key,
  -- the order in which events of one moment leave
  seq             bigint generated always as identity,
  project_id      uuid not null,
  destination_id  uuid not null,
  operation_id    uuid not null,
  -- what is told: the outcome as it was, whatever becomes of the operation later
  data            json not null,
  state           text not null default 'new' check (state in ('new', 'packed', 'waiting', 'delivered', 'failed')),
  head_id         uuid,
  is_digest       boolean not null default false,
  due_at          timestamptz not null,
  claim_id        uuid,
  attempts        integer not null default 0,
  -- the first and the last attempt
  begun_at        timestamptz,
  attempted_at    timestamptz,
  status          integer,
  error           text,
  created_at      timestamptz not null default now(),
  ended_at        timestamptz,
  check ((state = 'packed') = (head_id is not null)),
  check ((state in ('delivered', 'failed')) = (ended_at is not null)),
  check (claim_id is null or state = 'waiting')
) with (fillfactor = 80, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0.02);
create index notification_new on notification (destination_id, seq) where state = 'new';
create index notification_waiting on notification (destination_id, due_at) where state = 'waiting';
create index notification_claimed on notification (destination_id, due_at) where claim_id is not null;
create index notification_packed on notification (head_id) where head_id is not null;
create index notification_log on notification (destination_id, id) where head_id is null;

-- Its last operations end after it: what is told of them is kept with the note of its deletion.
alter table deleted_installation
  add column provider text,
  add column integration_name text,
  add column connection_id uuid,
  add column group_ref text;
