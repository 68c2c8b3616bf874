drop table tickets;
drop table recovery_codes;
drop table second_factors;
alter table sign_in_failures drop column attempt;
drop policy tenants_of_member on tenants;
drop policy sessions_of_user on sessions;
drop index sessions_by_user;
alter table sessions
  drop column id,
  drop column agent,
  drop column address;
