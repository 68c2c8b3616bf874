drop index dead_letters_subject;
create or replace function keep_signal_facts() returns trigger
language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    new.occurred_at := new.judged_at;
    new.raised := new.verdict = 'violated';
  else
    new.occurred_at := old.occurred_at;
    new.raised := old.raised or new.verdict = 'violated';
  end if;
  new.updated_at := now();
  return new;
end
$$;
drop table trace_budgets;
drop table trace_tasks;
alter table signals
  drop column group_fingerprint,
  drop column group_values,
  drop column explained_revision,
  drop column trace_problem,
  drop column trace_state;
