alter table sessions drop column sealed_identity;
revoke update (issuer) on memberships from betrace_app;
alter table memberships drop column issuer;
drop table provider_grants;
drop table identities;
drop function scope_subject();
drop function scope_issuer();
