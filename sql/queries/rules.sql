-- name: current^
-- A rule with its newest version, deleted or not.
select r.id, r.state, r.current_version as version, r.deleted_at is not null as deleted,
       r.created_at, v.created_at as updated_at, v.author, v.acting, v.reason, v.restored,
       v.object, v.text, v.canonical, o.published_at, o.read_everywhere_at
from rules r
join rule_versions v
  on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.current_version
left join rules_outbox o
  on o.tenant_id = r.tenant_id and o.rule_id = r.id and o.rule_version = r.current_version
where r.tenant_id = scope_tenant() and r.id = :id;

-- name: page
select r.id, r.state, r.current_version as version, false as deleted,
       r.created_at, v.created_at as updated_at, v.author, v.acting, v.reason, v.restored,
       v.object, v.text, v.canonical, o.published_at, o.read_everywhere_at
from rules r
join rule_versions v
  on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.current_version
left join rules_outbox o
  on o.tenant_id = r.tenant_id and o.rule_id = r.id and o.rule_version = r.current_version
where r.tenant_id = scope_tenant()
  and r.deleted_at is null
  and (:states::text[] is null or r.state = any(:states))
  and (:after_id::text is null or r.id > :after_id)
order by r.id
limit :limit;

-- name: versions
select v.rule_id as id, v.state, v.version, v.deleted, r.created_at, v.created_at as updated_at,
       v.author, v.acting, v.reason, v.restored, v.object, v.text, v.canonical,
       o.published_at, o.read_everywhere_at
from rule_versions v
join rules r on r.tenant_id = v.tenant_id and r.id = v.rule_id
left join rules_outbox o
  on o.tenant_id = v.tenant_id and o.rule_id = v.rule_id and o.rule_version = v.version
where v.tenant_id = scope_tenant() and v.rule_id = :id
  and (:version::integer is null or v.version = :version)
order by v.version desc;

-- name: texts
-- The texts of current rules: those that hold a word, or those of some ids.
select r.id, v.text, v.object -> 'group_by' as group_by
from rules r
join rule_versions v
  on v.tenant_id = r.tenant_id and v.rule_id = r.id and v.version = r.current_version
where r.tenant_id = scope_tenant()
  and r.deleted_at is null
  and (:ids::text[] is null or r.id = any(:ids))
  and (:word::text is null or position(:word in v.text) > 0);

-- name: count_in_use$
select count(*) from rules where tenant_id = scope_tenant() and deleted_at is null;

-- name: count_in_all$
select rules_in_all();

-- name: insert_rule!
insert into rules (tenant_id, id, state, current_version)
values (scope_tenant(), :id, :state, :version);

-- name: update_rule!
update rules
set state = :state, current_version = :version, updated_at = now(),
    deleted_at = case when :deleted then now() end
where tenant_id = scope_tenant() and id = :id;

-- name: insert_version!
insert into rule_versions (tenant_id, rule_id, version, state, object, text, judged,
                           judged_exceptions, canonical, language, deleted, author, reason,
                           restored)
values (scope_tenant(), :id, :version, :state, :object, :text, :judged,
        :judged_exceptions, :canonical, :language, false, :author, :reason, :restored);

-- name: insert_restated_version!
-- As the version before, in another state. object_state: what its owner wants of it.
insert into rule_versions (tenant_id, rule_id, version, state, object, text, judged,
                           judged_exceptions, canonical, language, deleted, author)
select tenant_id, rule_id, :version, :state,
       object || jsonb_build_object('state', :object_state::text), text, judged,
       judged_exceptions, canonical, language, :deleted, :author
from rule_versions
where tenant_id = scope_tenant() and rule_id = :id and version = :before;

-- name: numbers_of
select number, hash, canonical
from predicate_numbers
where tenant_id = scope_tenant() and hash = any(:hashes);

-- name: next_number$
select coalesce(max(number) + 1, 0) from predicate_numbers where tenant_id = scope_tenant();

-- name: insert_number!
insert into predicate_numbers (tenant_id, number, hash, canonical)
values (scope_tenant(), :number, :hash, :canonical);

-- name: verdicts_since^
-- What a rule said of traces in the minutes of event time since then, all versions together.
select
  coalesce(sum(violated), 0)::bigint as violated,
  coalesce(sum(satisfied), 0)::bigint as satisfied,
  coalesce(sum(inconclusive), 0)::bigint as inconclusive,
  coalesce(sum(over_budget), 0)::bigint as over_budget,
  coalesce(sum(failed), 0)::bigint as failed
from rule_stats_minutes
where tenant_id = scope_tenant() and rule_id = :id and minute >= :since;

-- name: health
-- How rules are doing: verdicts since then, the newest signal, and how the newest ones ended.
select r.id, s.judged, s.violated, s.inconclusive, s.over_budget, s.failed,
       n.occurred_at as last_raised_at, e.ended, e.false_positives
from unnest(:ids::text[]) as r (id)
cross join lateral (
  select
    coalesce(sum(violated + satisfied + inconclusive), 0)::bigint as judged,
    coalesce(sum(violated), 0)::bigint as violated,
    coalesce(sum(inconclusive), 0)::bigint as inconclusive,
    coalesce(sum(over_budget), 0)::bigint as over_budget,
    coalesce(sum(failed), 0)::bigint as failed
  from rule_stats_minutes m
  where m.tenant_id = scope_tenant() and m.rule_id = r.id and m.minute >= :since
) s
left join lateral (
  select occurred_at
  from signals
  where tenant_id = scope_tenant() and rule_id = r.id and raised
  order by occurred_at desc, id desc
  limit 1
) n on true
cross join lateral (
  select
    count(*) filter (where status in ('resolved', 'false_positive')) as ended,
    count(*) filter (where status = 'false_positive') as false_positives
  from (
    select status
    from signals
    where tenant_id = scope_tenant() and rule_id = r.id and raised
    order by occurred_at desc, id desc
    limit :ended_max
  ) newest
) e;

-- name: ids
-- Every id that is or was in use.
select id from rules where tenant_id = scope_tenant();
