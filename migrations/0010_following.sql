-- Following writes (contract section 7): lists of an installation's operations, and flushed lanes.

-- The operations of an installation by id, one index for each status. A write is in one of them at a time,
-- so together they cost no more than one index of all would, and a list of one status reads nothing else.
-- The records of caller-built batches are no operations by themselves and are in none.
create index write_in_progress on write (installation_id, id)
  where operation_id is null and state in ('queued', 'sending');
create index write_success on write (installation_id, id)
  where operation_id is null and state = 'succeeded';
create index write_failure on write (installation_id, id)
  where operation_id is null and state in ('failed', 'in_doubt', 'cancelled');
create index operation_of_installation on operation (installation_id, id);

-- A reference may be long, and is only compared: its hash is narrow.
create index write_reference on write (hashtextextended(reference, 0), installation_id, id)
  where operation_id is null and reference is not null;
create index operation_reference on operation (hashtextextended(reference, 0), installation_id, id)
  where reference is not null;

-- What was asked to leave at once: writes of the lane up to this number are due, whatever they say.
alter table lane add column flushed_seq bigint;
