-- Finding evidence by words. Records of a log say few different things: which kind, outcome, rule,
-- controls, service and operation. Each of these combinations stands here once, with its words, and
-- the records that say it are listed by time. So a word that a million records have costs no more
-- than one that ten have, and totals are exact. Made by the statement that seals, by nobody else.
--
-- Row-level security lets no index of words be used (their operators are not leakproof): what is
-- searched is the tenant's combinations, some thousands of rows.

-- A text as words with blanks between: so "soc2.CC6.1" is three words, in the text and in what is
-- looked for.
create function evidence_spaced(said text) returns text
language sql immutable parallel safe
return btrim(regexp_replace(said, '[^[:alnum:]]+', ' ', 'g'));

-- What an operation or target says, without what makes each one different: UUIDs, numbers, and long
-- words with digits in them.
create function evidence_plain(said text) returns text
language sql immutable parallel safe
return evidence_spaced(regexp_replace(
  evidence_spaced(
    regexp_replace(said, '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}', ' ', 'g')),
  '\m([0-9]+|(?=[[:alnum:]]*[0-9])[[:alnum:]]{8,})\M', '', 'g'));

-- What somebody looks for: every word, the last of each group without blanks perhaps unfinished.
-- Null for a text without words.
create function evidence_wanted(asked text) returns tsquery
language sql immutable parallel safe
return (
  select to_tsquery(
    'simple'::regconfig,
    string_agg('(' || replace(evidence_spaced(term), ' ', ' <-> ') || ':*)', ' & '))
  from regexp_split_to_table(asked, '\s+') as t (term)
  where evidence_spaced(term) <> ''
);

-- id: of the combination, half a SHA-256. rule_id, service: empty for none. first_ms, last_ms: of its
-- records.
create table evidence_texts (
  tenant_id uuid not null,
  id bytea not null,
  kind text not null,
  outcome text not null,
  rule_id text not null,
  service text not null,
  controls text[] not null,
  words tsvector not null,
  first_ms bigint not null,
  last_ms bigint not null,
  constraint evidence_texts_pkey primary key (tenant_id, id),
  constraint evidence_texts_id check (octet_length(id) = 16)
);

create table evidence_text_records (
  tenant_id uuid not null,
  text_id bytea not null,
  time_ms bigint not null,
  seq bigint not null,
  constraint evidence_text_records_pkey primary key (tenant_id, text_id, time_ms, seq)
);

-- How many there are by day (UTC) of their time.
create table evidence_text_days (
  tenant_id uuid not null,
  text_id bytea not null,
  day date not null,
  record_count bigint not null,
  constraint evidence_text_days_pkey primary key (tenant_id, text_id, day)
);

create function tell_evidence() returns trigger
language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
begin
  with told as materialized (
    select a.tenant_id, a.seq, a.time_ms, a.kind, a.outcome, coalesce(a.rule_id, '') as rule_id,
      coalesce(a.rule_version, 0) as rule_version, a.controls,
      case when a.kind = 'span' then coalesce(b.body ->> 'service', '') else '' end as service,
      case a.kind
        when 'span' then concat_ws(' ', b.body ->> 'evidence_type', b.body ->> 'operation')
        when 'act' then concat_ws(' ', b.body ->> 'action', b.body ->> 'target')
        else ''
      end as said
    from added a left join lateral (
      select convert_from(a.line, 'UTF8')::jsonb -> 'body' as body
      where a.kind in ('span', 'act')
    ) b on true
  ),
  differing as (
    select distinct tenant_id, kind, outcome, rule_id, rule_version, controls, service, said
    from told
  ),
  -- the name that the rule had in the version that judged
  worded as materialized (
    select d.*, evidence_spaced(concat_ws(
      ' ', d.kind, d.outcome, d.rule_id, v.object ->> 'name', array_to_string(d.controls, ' '),
      d.service, evidence_plain(d.said))) as spaced
    from differing d
    left join rule_versions v
      on v.tenant_id = d.tenant_id and v.rule_id = d.rule_id and v.version = d.rule_version
  ),
  known as materialized (
    select w.*, substring(sha256(convert_to(concat_ws(
      e'\n', w.kind, w.outcome, w.rule_id, w.service, array_to_string(w.controls, ' '), w.spaced
    ), 'UTF8')) for 16) as id
    from worded w
  ),
  placed as materialized (
    select t.tenant_id, k.id, t.time_ms, t.seq, k.kind, k.outcome, k.rule_id, k.service, k.controls,
      k.spaced
    from told t
    join known k
      on k.tenant_id = t.tenant_id and k.kind = t.kind and k.outcome = t.outcome
      and k.rule_id = t.rule_id and k.rule_version = t.rule_version and k.controls = t.controls
      and k.service = t.service and k.said = t.said
  ),
  listed as (
    insert into evidence_text_records (tenant_id, text_id, time_ms, seq)
    select tenant_id, id, time_ms, seq from placed
  ),
  counted as (
    insert into evidence_text_days as d (tenant_id, text_id, day, record_count)
    select tenant_id, id, date '1970-01-01' + (time_ms / 86400000)::integer, count(*)
    from placed
    group by 1, 2, 3
    on conflict on constraint evidence_text_days_pkey do update set
      record_count = d.record_count + excluded.record_count
  )
  insert into evidence_texts as t (
    tenant_id, id, kind, outcome, rule_id, service, controls, words, first_ms, last_ms
  )
  select tenant_id, id, kind, outcome, rule_id, service, controls,
    to_tsvector('simple'::regconfig, spaced), min(time_ms), max(time_ms)
  from placed
  group by tenant_id, id, kind, outcome, rule_id, service, controls, spaced
  on conflict on constraint evidence_texts_pkey do update set
    first_ms = least(t.first_ms, excluded.first_ms),
    last_ms = greatest(t.last_ms, excluded.last_ms)
  where excluded.first_ms < t.first_ms or excluded.last_ms > t.last_ms;
  return null;
end
$$;
create trigger evidence_records_told after insert on evidence_records
  referencing new table as added
  for each statement execute function tell_evidence();

do $$
declare
  name text;
begin
  foreach name in array array['evidence_texts', 'evidence_text_records', 'evidence_text_days'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format(
      'create policy %1$s_of_tenant on %1$I'
      ' using (tenant_id = scope_tenant()) with check (tenant_id = scope_tenant())', name);
    execute format('grant select on %I to betrace_app', name);
  end loop;
end
$$;
