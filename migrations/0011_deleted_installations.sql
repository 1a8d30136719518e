-- Installations that were deleted (contract section 4). What still waits for one is ended, and so is what comes
-- back later: a write whose call was in flight, one that was accepted by a process that had not heard yet, one
-- that is retried by hand. A row goes when its installation has no lane any more.
create table deleted_installation (
  id          uuid primary key,
  project_id  uuid not null,
  deleted_at  timestamptz not null default now()
);
