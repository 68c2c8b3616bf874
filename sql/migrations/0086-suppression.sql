-- depends: 0085-snoozes

-- Suppression windows of rules (`suppress: 15m` of the rule object): of one group of a rule, only the
-- first signal in so long a time alerts. The others are on record as repeats of that one
-- (signals.exception: repeats). Which group a signal belongs to is known once its trace has been
-- copied; until then it is due, as with exceptions.

-- For how long the version that was current at a time suppresses repeats; null: not at all.
create function suppression_at(tenant uuid, rule text, at timestamptz) returns interval
language sql stable as $$
  select substring(v.object ->> 'suppress' from '^[0-9.]+')::double precision
    * case substring(v.object ->> 'suppress' from '[a-z]+$')
        when 'd' then interval '1 day' when 'h' then interval '1 hour'
        when 'm' then interval '1 minute' when 's' then interval '1 second'
        when 'ms' then interval '1 millisecond' when 'us' then interval '1 microsecond'
      end
  from rule_versions v
  where v.tenant_id = tenant and v.rule_id = rule and v.created_at + interval '5 seconds' <= at
  order by v.version desc
  limit 1
$$;

create index signals_repeating on signals (tenant_id, (exception ->> 'repeats'))
  where exception ->> 'repeats' is not null;
