drop table trace_samples;
drop index signals_by_verdict;
drop function index_trace(uuid, bytea);
drop table trace_search;
drop function scope_trace_terms();
drop function trace_term(uuid, text, text, text);
drop function search_text(text);
