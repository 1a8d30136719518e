-- Writes that an earlier try may have written (contract sections 6.2 and 6.5): the batches in which a write
-- was sent and whose answers were lost. A write that has any and then ends otherwise than by success has
-- failed only if its end shows that those tries wrote nothing; else it is in doubt. Two writes of a group that
-- is written as a whole or not at all share that proof where they shared the batches. Null: no such try.
alter table write add column lost_in uuid[];
