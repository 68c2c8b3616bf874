"""Where the job begins to read, on a real broker, and what it refuses to pass over in silence."""

from __future__ import annotations

import time

import pytest
from kafka import KafkaAdminClient, TopicPartition

from deploy.embedded.stack import Stack
from jobs.settings import JobSettings, Start
from jobs.span_log import SpanLog
from jobs.start import Beginning, OffsetsLost, begin, gap_of
from tests.support.logs import SpansWriter, create_topics, read_log
from udfs.lanes import LANES

pytestmark = pytest.mark.integration

EVERYWHERE = frozenset(range(LANES))


def settings(kafka: str, prefix: str, start: str, *, accept_gap: bool = False) -> JobSettings:
    return JobSettings(
        kafka=kafka,
        input_prefix=prefix,
        output_prefix=prefix,
        group=f"{prefix}.detect",
        start=Start.parse(start),
        accept_gap=accept_gap,
    )


def heartbeats(kafka: str, prefix: str, count: int) -> None:
    writer = SpansWriter(kafka, f"{prefix}.spans")
    for _ in range(count):
        writer.heartbeat()
    writer.flush()


def expire(kafka: str, prefix: str, *, partition: int, before: int) -> None:
    """Let the oldest records of a partition go, as retention does."""
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_records({TopicPartition(f"{prefix}.spans", partition): before})
    admin.close()


def begun(chosen: JobSettings, *, restored: dict[int, int] | None = None) -> Beginning:
    with SpanLog(chosen, partitions=LANES) as log:
        return begin(chosen, log, restored=restored)


def test_a_first_start_on_a_whole_log_lacks_nothing(stack: Stack) -> None:
    address = stack.settings.kafka
    create_topics(address, "whole")
    heartbeats(address, "whole", 2)
    assert begun(settings(address, "whole", "earliest")) == Beginning(
        dict.fromkeys(range(LANES), 0), frozenset()
    )


def test_a_start_without_state_in_the_middle_of_a_log_is_a_gap(stack: Stack) -> None:
    address = stack.settings.kafka
    create_topics(address, "middle")
    heartbeats(address, "middle", 2)
    since_ms = time.time_ns() // 1_000_000 + 1
    while time.time_ns() // 1_000_000 < since_ms:
        time.sleep(0.001)
    heartbeats(address, "middle", 1)
    chosen = settings(address, "middle", str(since_ms))
    with SpanLog(chosen, partitions=LANES) as log:
        beginning = begin(chosen, log, restored=None)
        gap = gap_of(chosen, log, beginning, now_ms=0)
    assert beginning == Beginning(dict.fromkeys(range(LANES), 2), EVERYWHERE)
    newest_ms = max(record.time_ms for record in read_log(address, "middle.spans"))
    assert (gap.until_ms, gap.reader) == (newest_ms, "middle")


def test_a_group_without_offsets_is_told_how_to_start(stack: Stack) -> None:
    address = stack.settings.kafka
    create_topics(address, "first")
    with pytest.raises(OffsetsLost, match="--start earliest for a first start"):
        begun(settings(address, "first", "group"))


def test_what_was_committed_is_gone_on_from(stack: Stack) -> None:
    address = stack.settings.kafka
    create_topics(address, "committed")
    heartbeats(address, "committed", 3)
    chosen = settings(address, "committed", "group")
    offsets = {number: number % 3 for number in range(LANES)}
    with SpanLog(chosen, partitions=LANES) as log:
        log.commit(offsets)
    assert begun(chosen).offsets == offsets


def test_offsets_that_expired_are_refused_with_place_and_next_step(stack: Stack) -> None:
    address = stack.settings.kafka
    create_topics(address, "expired")
    heartbeats(address, "expired", 5)
    expire(address, "expired", partition=7, before=4)
    restored = dict.fromkeys(range(LANES), 2)
    with pytest.raises(OffsetsLost) as refused:
        begun(settings(address, "expired", "group"), restored=restored)
    message = str(refused.value)
    assert "the snapshot goes on at offset 2 of partition 7 of expired.spans" in message
    assert "from 4 on (1 of 32 partitions" in message
    assert "--accept-gap" in message


def test_an_accepted_gap_reaches_to_the_oldest_record_that_is_left(stack: Stack) -> None:
    address = stack.settings.kafka
    create_topics(address, "accepted")
    heartbeats(address, "accepted", 5)
    expire(address, "accepted", partition=7, before=4)
    chosen = settings(address, "accepted", "group", accept_gap=True)
    restored = dict.fromkeys(range(LANES), 2)
    with SpanLog(chosen, partitions=LANES) as log:
        beginning = begin(chosen, log, restored=restored)
        gap = gap_of(chosen, log, beginning, now_ms=0)
    assert beginning == Beginning(restored, frozenset({7}), passes_over=frozenset({7}))
    oldest_ms = min(
        record.time_ms for record in read_log(address, "accepted.spans") if record.partition == 7
    )
    assert gap.until_ms == oldest_ms


def test_a_log_made_anew_is_not_taken_for_the_old_one(stack: Stack) -> None:
    address = stack.settings.kafka
    create_topics(address, "remade")
    heartbeats(address, "remade", 1)
    with pytest.raises(OffsetsLost, match="the topic was made anew"):
        begun(settings(address, "remade", "group"), restored=dict.fromkeys(range(LANES), 9))
