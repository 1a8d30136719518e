-- The processes that send what waits, and when each last looked at the tables: readiness says whether one lives.
create table worker_seen (
  -- name of the process, as in batch.worker
  worker   text primary key,
  seen_at  timestamptz not null
) with (fillfactor = 50);
