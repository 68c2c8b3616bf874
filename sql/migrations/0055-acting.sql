-- Sessions in which somebody acts in their person's place, and invitations that go by a provider.

-- acting: who, as the provider says, empty: nobody but the person.
alter table sessions
  add column acting text not null default '',
  add constraint sessions_acting_length check (length(acting) <= 320);

-- Rows of the audit log that were caused so are found by who acted.
create index audit_log_by_acting on audit_log (tenant_id, (details ->> 'acting'), at desc, id desc)
  where details ->> 'acting' is not null;

-- issuer, provider_id: of one that the identity provider sends, its name for itself and for the
-- invitation; null: the link is ours, mailed or handed over.
alter table invitations
  add column issuer text,
  add column provider_id text,
  add constraint invitations_of_provider check ((issuer is null) = (provider_id is null)),
  add constraint invitations_of_provider_lengths check (
    length(issuer) between 1 and 500 and length(provider_id) between 1 and 200
  );
grant update (issuer, provider_id) on invitations to betrace_app;
