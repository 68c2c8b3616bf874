-- Histories of rules and signals say who acted in the place of who is named.

-- app.acting, beside app.actor: who acts in the actor's place; unset means nobody.
create function scope_acting() returns text
language sql stable parallel safe
return coalesce(current_setting('app.acting', true), '');

-- By default, so that nobody who writes a row can forget it; empty: nobody but the actor.
alter table rule_versions
  add column acting text not null default '',
  add constraint rule_versions_acting_length check (length(acting) <= 320);
alter table rule_versions alter column acting set default scope_acting();

alter table signal_history
  add column acting text not null default '',
  add constraint signal_history_acting_length check (length(acting) <= 320);
alter table signal_history alter column acting set default scope_acting();
