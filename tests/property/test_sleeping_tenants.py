"""The law: who sleeps, who was let go and who was always awake are judged alike, byte for byte."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.engine import TENANT, Engine, Record, RulesLog, SpanDraft, SpansLog
from udfs.life import Output
from udfs.rulebook import ACTIVATION_MS, LOOK_EVERY_MS, RuleBook

OTHER = "6b0f3c52-5d0f-4f4e-8a43-0d5a0f7c2b11"
QUIET = "9d9c1c58-6d0e-4c1e-9f5b-2f3f1b2a7c99"
TENANTS = (TENANT, OTHER, QUIET)
NAMES = ("payment.charge", "fraud.check", "payment.bypass", "other")
END_MS = 700_000


def the_rules() -> RulesLog:
    """Return a log in the order of time, as the broker keeps it."""
    rules = RulesLog()
    for tenant in TENANTS:
        rules.settings(
            settle_ms=2_000,
            patience_ms=20_000,
            lateness_ms=120_000,
            max_life_ms=60_000,
            tenant=tenant,
        )
        check = "when { payment.charge.where(amount > 10) } always { fraud.check }"
        rules.rule("check", check, tenant=tenant)
        rules.rule("bypass", "when { payment.charge } never { payment.bypass }", tenant=tenant)
    every = "expect { payment.charge } every 60s"
    rules.rule("charged", every, tenant=OTHER)
    often = 'correlate { violated("check") } by service within 10m having count > 1'
    rules.rule("often", often, tenant=OTHER)
    counted = "when { payment.charge } never { count(other) > 1 }"
    rules.rule("bypass", counted, version=2, at_ms=5_000, tenant=OTHER)
    rules.rule("bypass", counted, version=3, at_ms=9_000, tenant=OTHER, state="QUARANTINED")
    other = "when { other } always { fraud.check }"
    rules.rule("check", other, version=2, at_ms=20_000)
    rules.settings(settle_ms=9_000, patience_ms=20_000, lateness_ms=60_000, at_ms=30_000)
    rules.rule("bypass", counted, version=4, at_ms=60_000, tenant=OTHER)
    rules.rule("check", other, version=3, at_ms=90_000, state="OFF")
    return rules


class Sleepy(Engine):
    """Reads the rules log as late as the law allows, and lets tenants go when it is told."""

    def restart(self) -> None:
        super().restart()
        self.begin_anew(RuleBook(reader=self.reader))
        self._read = 0
        self.read_for(0)

    def read_for(self, time_ms: int) -> None:
        """Read what must have been read before a record of a time is handled."""
        latest_ms = time_ms - ACTIVATION_MS + LOOK_EVERY_MS - 1_000
        while self._read < len(self.rules.records):
            append_ms, value = self.rules.records[self._read]
            if append_ms > latest_ms:
                break
            self.book.add(value, append_ms=append_ms, offset=self._read)
            self._read += 1

    def receive(self, record: Record) -> None:
        self.read_for(record.time_ms)
        super().receive(record)

    def advance(self, watermark_ms: int) -> list[Output]:
        self.read_for(watermark_ms)
        return super().advance(watermark_ms)


@st.composite
def spans_logs(draw: st.DrawFn) -> list[Record]:
    log = SpansLog()
    at_ms = 0
    for _ in range(draw(st.integers(1, 25))):
        at_ms += draw(st.sampled_from((0, 1, 500, 2_000, 2_001, 15_000, 61_000)))
        tenant = draw(st.sampled_from(TENANTS[:2]))
        spans = [
            SpanDraft(
                trace=draw(st.sampled_from("abcd")),
                id=f"{at_ms} {number}",
                name=draw(st.sampled_from(NAMES)),
                attributes={"amount": draw(st.sampled_from((5, 20)))},
            )
            for number in range(draw(st.integers(1, 4)))
        ]
        log.send(at_ms, *spans, tenant=tenant)
    return log.records


@settings(deadline=None, max_examples=60)
@given(spans_logs(), st.integers(0, 2**32))
def test_tenants_that_are_let_go_give_the_same_bytes(records: list[Record], seed: int) -> None:
    chance = random.Random(seed)
    awake, sleepy = Engine(the_rules()), Sleepy(the_rules())
    for engine in (awake, sleepy):
        engine.many.wake(time_ms=0)
    for record in records:
        for engine in (awake, sleepy):
            engine.advance(record.time_ms - 1)
            engine.receive(record)
        sleepy.book.let_go(tenant for tenant in TENANTS if chance.random() < 0.3)
    for engine in (awake, sleepy):
        engine.advance(END_MS)
    assert sorted(sleepy.outputs) == sorted(awake.outputs)
    assert not sleepy.book.is_awake(QUIET)


@settings(deadline=None, max_examples=30)
@given(spans_logs())
def test_a_restart_in_between_wakes_only_who_sends(records: list[Record]) -> None:
    engine = Sleepy(the_rules())
    for record in records:
        engine.advance(record.time_ms - 1)
        engine.receive(record)
    engine.restart()
    assert not any(map(engine.book.is_awake, TENANTS))
    engine.advance(records[-1].time_ms)
    assert not engine.book.is_awake(QUIET)
