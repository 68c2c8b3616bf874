drop table invitations;
alter table tenants drop column display_name;
