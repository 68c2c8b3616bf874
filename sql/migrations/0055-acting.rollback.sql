drop index audit_log_by_acting;
alter table sessions drop column acting;
