"""The rule book of a backtest."""

from __future__ import annotations

import pytest

from tests.support.engine import TENANT, RulesLog
from udfs.backtest.rules import GivenRules, LogEntry, RuleRefused, heeded
from udfs.wire import betrace_pb2 as wire

OTHER = "9d5a3a52-7d0c-4a55-8f8e-0d1f3b6a7c88"


def test_of_the_rules_log_only_gaps_and_what_the_tenant_said_are_heeded() -> None:
    log = RulesLog()
    log.rule("promise", "when { a } always { b }")
    log.settings(settle_ms=1)
    log.settings(tenant=OTHER, settle_ms=2)
    log.gap(at_ms=7)
    log.death(at_ms=8, tenant=TENANT, partition=1, offset=2)
    log.death(at_ms=8, tenant=OTHER, partition=1, offset=3)
    log.forget("beats", "host-17", at_ms=9)
    log.forget("beats", "host-17", at_ms=9, tenant=OTHER)
    entries = [LogEntry(at_ms, record) for at_ms, record in log.records]
    found = heeded([*entries, LogEntry(8, b"\xff")], tenant=TENANT)
    assert found == [entries[1], entries[3], entries[4], entries[6]]


def test_given_rules_are_in_force_from_ever() -> None:
    log = RulesLog()
    log.rule("promise", "when { a } always { b }", at_ms=10**15, version=7)
    given = GivenRules([record for _, record in log.records], [], tenant=TENANT)
    assert [(rule.id, rule.version) for rule in given.book.in_force(TENANT, 0)] == [("promise", 7)]


def test_a_rule_of_a_newer_language_is_refused() -> None:
    log = RulesLog()
    log.rule("promise", "when { a } always { b }", language=99)
    with pytest.raises(RuleRefused, match="promise, version 1: written for language 99"):
        GivenRules([record for _, record in log.records], [], tenant=TENANT)


def test_a_gap_leaves_its_traces_in_doubt() -> None:
    gap = LogEntry(1_000, wire.RuleLogRecord(gap=wire.Gap()).SerializeToString())
    given = GivenRules([], [gap], tenant=TENANT)
    assert given.book.losses.touch(
        TENANT, 0, begin_ms=900, root_ms=900, judged_ms=2_000, max_life_ms=1_000
    )
