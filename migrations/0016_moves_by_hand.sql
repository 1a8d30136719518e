-- Moves by hand by their time: which operations were moved after one (contract section 7).
create index hand_by_time on hand (at, operation_id);
