-- When a write last came to a lane, to within a day: a lane is removed once none of its writes is kept any more.
alter table lane add column used_at timestamptz not null default now();
