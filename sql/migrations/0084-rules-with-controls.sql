-- depends: 0083-signal-moves

-- Versions of rules that serve controls. Every few seconds somebody asks which of them lack an
-- interval of coverage, of all tenants; most rules serve none, and are not looked at any more.
create index rule_versions_with_controls on rule_versions (tenant_id, rule_id, version)
  where jsonb_array_length(coalesce(object -> 'controls', '[]')) > 0;
