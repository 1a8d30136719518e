-- A message that failed once has a place until it is tried again, so that its first retry comes in time
-- (contract section 7): how many hold one is looked up before anything new is sent to their destination.
create index notification_first_retry on notification (destination_id, due_at) where state = 'waiting' and attempts = 1;
