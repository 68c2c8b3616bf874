-- depends: 0086-suppression

-- Groups of what somebody has are counted out of the signals, which lie scattered over the whole table:
-- the index of assignees has what such a count needs beside them. A signal that nobody has is not in
-- it, so what writing new signals costs stays the same.
drop index signals_by_assignee;
create index signals_by_assignee on signals (tenant_id, assignee_id, occurred_at desc, id desc)
  include (rule_id, group_fingerprint, severity, status, alerts, shadow)
  where raised and assignee_id is not null;
