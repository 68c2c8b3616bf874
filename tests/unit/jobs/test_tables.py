"""The statements that declare source and sink."""

from __future__ import annotations

from dataclasses import replace

from jobs.settings import JobSettings
from jobs.tables import outputs_table, source_parallelism, spans_table

SETTINGS = JobSettings(
    kafka="k:1", input_prefix="in", output_prefix="out", group="g", parallelism=2
)


def test_reading_goes_on_from_the_offsets_of_the_group_and_fails_if_they_are_gone() -> None:
    statement = spans_table(SETTINGS, partitions=32)
    assert "'scan.startup.mode' = 'group-offsets'" in statement
    assert "'properties.auto.offset.reset' = 'none'" in statement


def test_only_an_accepted_gap_lets_the_source_pass_over_expired_offsets() -> None:
    statement = spans_table(SETTINGS, partitions=32, passes_over_expired=True)
    assert "'properties.auto.offset.reset' = 'earliest'" in statement


def test_no_source_task_is_without_a_partition() -> None:
    assert source_parallelism(replace(SETTINGS, parallelism=64), partitions=32) == 32
    assert source_parallelism(replace(SETTINGS, parallelism=4), partitions=32) == 4


def test_the_sink_may_write_to_every_output_topic_and_no_other() -> None:
    statement = outputs_table(SETTINGS)
    assert "'topic' = 'out.signals;out.stats;out.evidence;out.dead-letters'" in statement


def test_a_quote_in_a_setting_stays_inside_its_text() -> None:
    statement = spans_table(replace(SETTINGS, group="it's"), partitions=1)
    assert "'properties.group.id' = 'it''s'" in statement
