alter table invitations drop column issuer, drop column provider_id;
drop index audit_log_by_acting;
alter table sessions drop column acting;
