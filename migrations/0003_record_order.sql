-- Order per record (contract section 6.4): writes that name the same record are applied in the order in
-- which they were accepted, across lanes and through retries. A write that has an unfinished earlier one
-- is blocked: it is in no lane's count and in no claim's index until that one has ended. So the claim
-- never steps over blocked rows, however many there are, and a blocked record blocks only itself.

-- record_key: a hash of what names the record (its id, or its external id and the value); null for creates.
alter table write
  add column record_key uuid,
  add column blocked boolean not null default false;

drop index write_waiting;
create index write_waiting on write (lane_id, available_at, seq) where state = 'queued' and not blocked;

-- The unfinished writes of a record, in order.
create index write_order on write (installation_id, record_key, seq)
  where state in ('queued', 'sending') and record_key is not null;
