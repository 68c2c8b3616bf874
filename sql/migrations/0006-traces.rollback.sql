drop table trace_spans;
drop table trace_copies;
