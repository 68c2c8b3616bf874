revoke insert on audit_log from betrace_worker;
drop table tenant_keys;
drop function refuse_keys_of_the_gone();
drop function keep_tenant_key();
