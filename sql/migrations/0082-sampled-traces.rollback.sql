drop table sampling_rounds;
drop index trace_copies_sampled;
alter table trace_copies drop column sampled;
