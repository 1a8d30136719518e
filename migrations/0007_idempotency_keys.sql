-- Idempotency keys (contract section 5): which call of a project brought a key first, and what it was
-- answered. A row is inserted in the transaction that records the call's writes, so a key is there exactly
-- when its writes are; the primary key makes a twin wait for that transaction, and then find it.

create table idempotency_key (
  project_id    uuid not null,
  -- by bytes, so that everybody who takes several takes them in one order
  key           text collate "C" not null,
  -- of the path and the body: the same key with another request is refused
  request_hash  bytea not null,
  operation_id  uuid not null,
  -- what a synchronous call was answered; null for an asynchronous one, whose answer is the operation's id,
  -- and until there is an answer
  status        smallint,
  answer        text,
  created_at    timestamptz not null default now(),
  primary key (project_id, key),
  check ((status is null) = (answer is null))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
-- For their removal. Keys come in the order of time, so it is small and its end is in memory.
create index idempotency_key_by_time on idempotency_key (created_at);
