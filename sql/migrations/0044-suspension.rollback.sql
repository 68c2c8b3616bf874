alter table tenants drop column suspended_at;
