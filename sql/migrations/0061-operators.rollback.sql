drop function tenants_overview(uuid, text, text, integer);
drop policy memberships_of_overview on memberships;
drop policy signals_of_overview on signals;
drop policy stats_minutes_of_overview on stats_minutes;
drop policy usage_days_of_overview on usage_days;
drop policy tenants_of_overview on tenants;
drop policy operator_keys_of_session on operator_keys;
drop table operator_sessions;
drop table operator_keys;
