revoke select on rules_outbox from betrace_worker;
revoke update (read_everywhere_at) on rules_outbox from betrace_worker;
drop policy rules_outbox_of_worker on rules_outbox;
drop index rules_outbox_not_read;
alter table rules_outbox drop column read_everywhere_at;
