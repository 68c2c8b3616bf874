drop policy audit_log_of_worker on audit_log;
revoke select (id, tenant_id, xact, seq, at, actor, action, target, outcome) on audit_log
  from betrace_worker;
drop index audit_log_in_order;
drop table evidence_outages;
drop table evidence_acts_cursors;
alter table rule_stats_minutes
  drop column covered_violated,
  drop column covered_satisfied,
  drop column covered_inconclusive;
drop table evidence_coverage_cursors;
drop table evidence_payloads;
drop table evidence_checkpoints;
drop table evidence_nodes;
drop table evidence_coverage;
drop table evidence_totals;
drop table evidence_controls;
drop table evidence_records;
drop table evidence_inbox;
drop table evidence_logs;
drop function keep_evidence_payload();
drop function follow_checkpoints();
drop function keep_evidence_log();
drop function follow_evidence();
drop function refuse_change_of_evidence();
drop function tenants_there(uuid[]);
