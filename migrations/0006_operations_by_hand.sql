-- What was done to operations by hand: the part of an operation's log that no provider call tells. Such
-- moves are rare, so the table is not partitioned; ids are in the order of time, so retention deletes its
-- oldest rows by the key.
create table hand (
  operation_id  uuid not null,
  -- the how-manieth it was for the operation
  number        integer not null,
  move          text not null check (move in ('cancel', 'retry', 'resolve')),
  -- the API key that asked for it; null for the operator's
  key_id        uuid,
  -- the records that it moved
  records       integer not null,
  -- resolve: what was said of them
  success       boolean,
  record_id     text,
  -- not the transaction's time, which lies before its locks were had: in the log, what the move found comes
  -- before it. A retried write's next deadline counts from here
  at            timestamptz not null default statement_timestamp(),
  primary key (operation_id, number),
  check ((move = 'resolve') = (success is not null))
);
