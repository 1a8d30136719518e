-- Groups sent with allOrNone (contract section 6.6): how often a write was undone with its group by
-- another's error and sent again without that one; three rounds at the most.
alter table write add column rollbacks smallint not null default 0;
