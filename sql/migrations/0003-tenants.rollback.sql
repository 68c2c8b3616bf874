drop table sign_in_failures;
drop table api_keys;
drop table sessions;
drop policy users_of_tenant on users;
drop table memberships;
drop table users;
drop table tenants;
