-- depends: 0087-people-in-groups

-- One plan of what makes a stored trace findable, for all traces: planning it anew for each took a
-- third of its time.
alter function index_trace(uuid, bytea) set plan_cache_mode = force_generic_plan;
