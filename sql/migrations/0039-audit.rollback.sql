drop function forget_audit(integer);
drop table audit_log;

delete from memberships where role = 'auditor';
alter table memberships
  drop constraint memberships_auditor_ends,
  drop constraint memberships_role,
  add constraint memberships_role check (
    role in ('admin', 'developer', 'sre', 'compliance-viewer', 'viewer')
  ),
  drop column expires_at;
