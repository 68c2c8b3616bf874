drop trigger evidence_records_told on evidence_records;
drop function tell_evidence();
drop table evidence_text_days;
drop table evidence_text_records;
drop table evidence_texts;
drop function evidence_wanted(text);
drop function evidence_plain(text);
drop function evidence_spaced(text);
