alter table tenants no force row level security;
update tenants t set settings = effective_settings(t), tier = 'standard';
alter table tenants force row level security;
drop function effective_settings(tenants);
alter table tiers no force row level security;
delete from tiers where name <> 'standard';
alter table tiers force row level security;
alter table tiers drop column quotas;
