alter function index_trace(uuid, bytea) reset plan_cache_mode;
