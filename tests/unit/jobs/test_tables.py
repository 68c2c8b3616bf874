"""The statements that declare source and sink."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.settings import JobSettings, Start
from jobs.tables import outputs_table, source_parallelism, spans_table

SETTINGS = JobSettings(
    kafka="k:1", input_prefix="in", output_prefix="out", group="g", parallelism=2
)


@pytest.mark.parametrize(
    ("start", "options"),
    [
        (Start("earliest"), ["'scan.startup.mode' = 'earliest-offset'"]),
        (
            Start("group"),
            [
                "'scan.startup.mode' = 'group-offsets'",
                "'properties.auto.offset.reset' = 'none'",
            ],
        ),
        (
            Start("timestamp", 17),
            [
                "'scan.startup.mode' = 'timestamp'",
                "'scan.startup.timestamp-millis' = '17'",
            ],
        ),
    ],
)
def test_a_start_becomes_the_options_of_the_source(start: Start, options: list[str]) -> None:
    statement = spans_table(replace(SETTINGS, start=start), partitions=32)
    assert [option for option in options if option in statement] == options


def test_no_source_task_is_without_a_partition() -> None:
    assert source_parallelism(replace(SETTINGS, parallelism=64), partitions=32) == 32
    assert source_parallelism(replace(SETTINGS, parallelism=4), partitions=32) == 4


def test_the_sink_may_write_to_every_output_topic_and_no_other() -> None:
    statement = outputs_table(SETTINGS)
    assert "'topic' = 'out.signals;out.stats;out.evidence;out.dead-letters'" in statement


def test_a_quote_in_a_setting_stays_inside_its_text() -> None:
    statement = spans_table(replace(SETTINGS, group="it's"), partitions=1)
    assert "'properties.group.id' = 'it''s'" in statement
