drop policy tenants_of_credential on tenants;
alter table tenants drop column suspended_at;
