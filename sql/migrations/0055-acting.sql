-- Sessions in which somebody acts in their person's place, and invitations that go by a provider.

-- acting: who, as the provider says, empty: nobody but the person.
alter table sessions
  add column acting text not null default '',
  add constraint sessions_acting_length check (length(acting) <= 320);

-- Rows of the audit log that were caused so are found by who acted.
create index audit_log_by_acting on audit_log (tenant_id, (details ->> 'acting'), at desc, id desc)
  where details ->> 'acting' is not null;
