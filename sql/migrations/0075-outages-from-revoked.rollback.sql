revoke update (from_size) on evidence_outages from betrace_worker;
