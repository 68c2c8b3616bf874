drop trigger evidence_coverage_summed on evidence_coverage;
drop trigger evidence_records_summed on evidence_records;
drop function sum_evidence_coverage();
drop function sum_evidence();
drop table evidence_services;
drop table evidence_coverage_days;
drop table evidence_days;
