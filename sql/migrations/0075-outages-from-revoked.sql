-- A key that is revoked while no other one can be had takes heads along that it signed before: what
-- is pending begins earlier then than it did when the outage began.
grant update (from_size) on evidence_outages to betrace_worker;
