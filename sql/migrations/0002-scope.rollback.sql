drop function refuse_change();
drop function scope_purpose();
drop function scope_email();
drop function scope_credential();
drop function scope_user();
drop function scope_tenant();
