"""Reading the rules log from a real broker."""

from __future__ import annotations

import pytest
from kafka import KafkaAdminClient

from deploy.embedded.settings import Ports
from deploy.embedded.stack import Stack
from tests.support.logs import create_topics, write_rules
from udfs.flink.rules_log import (
    FollowedRules,
    RulesLog,
    RulesLogAddress,
    RulesLogLost,
    RulesLogUnavailable,
    SharedRules,
)
from udfs.rulebook import LOOK_EVERY_MS, RuleBook

pytestmark = pytest.mark.integration


def test_every_read_goes_on_where_the_last_one_ended(stack: Stack) -> None:
    kafka = stack.settings.kafka
    create_topics(kafka, "reads")
    log = RulesLog(RulesLogAddress(kafka, "reads.rules"))
    assert list(log.read_to_end()) == []
    write_rules(kafka, "reads.rules", [b"a", b"b"])
    first = list(log.read_to_end())
    assert [(record.offset, record.value) for record in first] == [(0, b"a"), (1, b"b")]
    assert 0 < first[0].append_ms <= first[1].append_ms
    assert list(log.read_to_end()) == []
    write_rules(kafka, "reads.rules", [b"c"])
    assert [(record.offset, record.value) for record in log.read_to_end()] == [(2, b"c")]
    log.close()


def test_a_long_log_is_read_whole(stack: Stack) -> None:
    kafka = stack.settings.kafka
    create_topics(kafka, "long")
    values = [b"%06d" % number + b"x" * 1_000 for number in range(5_000)]
    write_rules(kafka, "long.rules", values)
    log = RulesLog(RulesLogAddress(kafka, "long.rules"))
    assert [record.value for record in log.read_to_end()] == values
    log.close()


def test_the_log_is_looked_at_only_when_the_book_asks(stack: Stack) -> None:
    kafka = stack.settings.kafka
    create_topics(kafka, "looks")
    book = RuleBook()
    rules = FollowedRules(book, RulesLog(RulesLogAddress(kafka, "looks.rules")))
    rules.be_ready_for(1_000_000)
    write_rules(kafka, "looks.rules", [b""])
    rules.be_ready_for(1_000_000 + LOOK_EVERY_MS)
    assert book.next_offset == 0
    rules.be_ready_for(1_000_000 + LOOK_EVERY_MS + 1)
    assert book.next_offset == 1
    rules.close()


def test_no_broker_is_an_error_in_time() -> None:
    nobody = RulesLogAddress(f"127.0.0.1:{Ports.free().kafka}", "any.rules", timeout_ms=500)
    with pytest.raises(RulesLogUnavailable):
        RulesLog(nobody)


def test_no_topic_is_an_error_in_time(stack: Stack) -> None:
    log = RulesLog(RulesLogAddress(stack.settings.kafka, "missing.rules", timeout_ms=1_000))
    with pytest.raises(RulesLogUnavailable):
        list(log.read_to_end())
    log.close()


def test_a_log_made_anew_is_not_taken_for_the_old_one(stack: Stack) -> None:
    kafka = stack.settings.kafka
    create_topics(kafka, "anew")
    write_rules(kafka, "anew.rules", [b"a", b"b"])
    log = RulesLog(RulesLogAddress(kafka, "anew.rules"))
    assert len(list(log.read_to_end())) == 2
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_topics(["anew.rules"])
    admin.close()
    create_topics(kafka, "anew")
    with pytest.raises(RulesLogLost):
        list(log.read_to_end())
    log.close()


def test_operators_of_a_process_share_one_book_until_the_last_has_left(stack: Stack) -> None:
    kafka = stack.settings.kafka
    create_topics(kafka, "shared")
    write_rules(kafka, "shared.rules", [b""])
    shared, address = SharedRules(), RulesLogAddress(kafka, "shared.rules")
    first, second = shared.follow(address), shared.follow(address)
    first.read()
    assert second.book is first.book
    assert second.next_offset() == 1
    shared.leave(first)
    assert shared.follow(address) is second
    shared.leave(second)
    shared.leave(second)
    anew = shared.follow(address)
    assert (anew is second, anew.next_offset()) == (False, 0)
    shared.leave(anew)


def test_who_comes_after_a_lost_log_begins_anew(stack: Stack) -> None:
    kafka = stack.settings.kafka
    create_topics(kafka, "lost")
    write_rules(kafka, "lost.rules", [b"", b""])
    shared, address = SharedRules(), RulesLogAddress(kafka, "lost.rules")
    before = shared.follow(address)
    before.read()
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_topics(["lost.rules"])
    admin.close()
    create_topics(kafka, "lost")
    with pytest.raises(RulesLogLost):
        before.read()
    after = shared.follow(address)
    after.read()
    assert (after is before, after.next_offset()) == (False, 0)
    shared.leave(before)
    assert shared.follow(address) is after
    shared.leave(after)
    shared.leave(after)
