"""Rules are looked at when somebody asks for their tenant, and forgotten when nobody does."""

from __future__ import annotations

import pytest

from tests.support.engine import TENANT, RulesLog
from udfs import rulebook
from udfs.rulebook import ACTIVATION_MS, IDLE_MS, PAUSE_MS, RuleBook
from udfs.rules_shelf import BLOCK_BYTES, Shelf, ShelvedRecord
from udfs.ruleset import RuleSets

OTHER = "6b0f3c52-5d0f-4f4e-8a43-0d5a0f7c2b11"
TEXT = "when { payment.charge } always { fraud.check }"
CHANGED = "when { payment.charge } always { audit.log }"


def two_tenants() -> RuleBook:
    log = RulesLog()
    for tenant in (TENANT, OTHER):
        log.rule("a", TEXT, tenant=tenant)
        log.rule("b", CHANGED, tenant=tenant)
    return log.book()


def change_of(tenant: str, *, at_ms: int) -> tuple[int, bytes]:
    log = RulesLog()
    log.rule("a", CHANGED, tenant=tenant, version=2, at_ms=at_ms)
    return log.records[0]


def test_only_who_is_asked_for_wakes() -> None:
    book = two_tenants()
    assert (book.is_awake(TENANT), book.is_awake(OTHER)) == (False, False)
    assert [rule.id for rule in book.in_force(TENANT, 0)] == ["a", "b"]
    assert (book.is_awake(TENANT), book.is_awake(OTHER)) == (True, False)
    assert book.in_force("nobody", 0) == ()
    assert not book.is_awake("nobody")


def test_who_is_not_asked_for_is_let_go() -> None:
    book = two_tenants()
    book.looked(1_000)
    book.settings(TENANT, 1_000)
    book.settings(OTHER, 1_000)
    book.looked(1_000 + IDLE_MS)
    book.settings(TENANT, 1_000 + IDLE_MS)
    book.looked(1_001 + IDLE_MS)
    assert (book.is_awake(TENANT), book.is_awake(OTHER)) == (True, False)
    assert [rule.id for rule in book.in_force(OTHER, 0)] == ["a", "b"]


def test_of_very_many_rules_some_are_let_go_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rulebook, "MANY_LINKED", 3)
    book = two_tenants()
    book.looked(1_000)
    book.in_force(TENANT, 0)
    book.looked(2_000)
    book.in_force(OTHER, 0)
    book.looked(2_001 + PAUSE_MS)
    assert (book.is_awake(TENANT), book.is_awake(OTHER)) == (False, True)


def test_a_change_leaves_alone_what_it_does_not_concern() -> None:
    book = two_tenants()
    sets = RuleSets(book)
    now_ms, effective_ms = 1_000, 60_000 + ACTIVATION_MS
    since_ms, _ = book.epoch(TENANT, now_ms)
    before = {tenant: book.matched(tenant, now_ms) for tenant in (TENANT, OTHER)}
    kept = {tenant: sets.of(tenant, since_ms=since_ms) for tenant in (TENANT, OTHER)}
    at_ms, record = change_of(TENANT, at_ms=60_000)
    book.add(record, append_ms=at_ms, offset=book.next_offset)
    for tenant in (TENANT, OTHER):
        assert book.matched(tenant, now_ms) is before[tenant]
        assert sets.of(tenant, since_ms=since_ms) is kept[tenant]
    assert book.epoch(TENANT, now_ms) == (since_ms, effective_ms)
    after = sets.of(TENANT, since_ms=effective_ms)
    assert [(rule.id, rule.version) for rule in after.rules] == [("a", 2), ("b", 1)]
    assert after.rules[1] is kept[TENANT].rules[1]
    assert after.knows(after.rules[1]) is kept[TENANT].knows(kept[TENANT].rules[1])
    assert kept[TENANT].knows(after.rules[0]) is None


def test_rule_sets_follow_the_book_in_letting_go() -> None:
    book = two_tenants()
    sets = RuleSets(book)
    since_ms, _ = book.epoch(TENANT, 0)
    before = sets.of(TENANT, since_ms=since_ms)
    book.let_go([TENANT])
    after = sets.of(TENANT, since_ms=since_ms)
    assert after is not before
    assert [rule.id for rule in after.rules] == [rule.id for rule in before.rules]


@pytest.mark.parametrize("taken", [0, 1, 40, 99, 100])
def test_a_shelf_gives_back_what_lies_behind_a_place(taken: int) -> None:
    records = [ShelvedRecord(at, b"%d " % at * 300) for at in range(100)]
    shelf = Shelf()
    for record in records:
        shelf.add(record)
    assert sum(len(record.value) for record in records) > 2 * BLOCK_BYTES
    assert shelf.size_bytes < 2 * BLOCK_BYTES
    assert shelf.count == 100
    assert list(shelf.since(taken)) == records[taken:]
