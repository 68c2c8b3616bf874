drop table redaction_counts;
drop trigger tenant_keys_note_redaction on tenant_keys;
drop function note_redaction_key();
drop table redaction_rekeyings;

create or replace function exceptions_at(tenant uuid, rule text, at timestamptz) returns jsonb
language sql stable as $$
  select coalesce(v.object -> 'exceptions', '[]')
  from rule_versions v
  where v.tenant_id = tenant and v.rule_id = rule and v.created_at + interval '5 seconds' <= at
  order by v.version desc
  limit 1
$$;

alter table rule_versions drop column judged_exceptions;
