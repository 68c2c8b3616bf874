-- A tenant that its operator has suspended: nobody of it gets in, and no spans are taken.

alter table tenants add column suspended_at timestamptz;
grant update (suspended_at) on tenants to betrace_app;
