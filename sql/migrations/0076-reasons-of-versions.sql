-- Versions of rules say why they were made, and which earlier version they bring back.

-- reason: what somebody said, empty: nothing. restored: null: a version of its own.
alter table rule_versions
  add column reason text not null default '',
  add column restored integer,
  add constraint rule_versions_reason_length check (length(reason) <= 2000),
  add constraint rule_versions_restored_earlier check (restored between 1 and version - 1);
