"""Rules over many traces in the stream: what is handed on, to whom, and what is counted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.engine import (
    TENANT,
    Engine,
    RulesLog,
    SpanDraft,
    SpansLog,
    counts,
    signals,
    trace_id,
)
from udfs import many_lane
from udfs.contributions import Joined, Seen, unpack_contribution, unpack_items
from udfs.handing import thinned
from udfs.lanes import LANES, lane_of
from udfs.life import Lane, Output
from udfs.wire import betrace_pb2 as wire

OTHER_TENANT = "9d5a3a52-7d0c-4a55-8f8e-0d1f3b6a7c88"
CHECK = "when { charge.where(amount > 10) } always { fraud.check }"
LOGINS = "correlate { login } by user.id within 1m having count >= 2"


def the_rules(**settings: int) -> RulesLog:
    log = RulesLog()
    lives = {"settle_ms": 2_000, "patience_ms": 20_000, "lateness_ms": 60_000}
    log.settings(**{**lives, "max_life_ms": 60_000, **settings})
    return log


def span(trace: str, name: str, at_ms: int, parent: str = "", **attributes: Any) -> SpanDraft:
    return SpanDraft(
        trace=trace,
        id=f"{trace}/{name}/{at_ms}",
        parent=parent and f"{trace}/{parent}",
        name=name,
        start_ms=at_ms,
        attributes={key.replace("__", "."): value for key, value in attributes.items()},
    )


def played(rules: RulesLog, log: SpansLog, *, until_ms: int) -> Engine:
    engine = Engine(rules)
    engine.many.wake(time_ms=0)
    for record in log.records:
        engine.advance(record.time_ms - 1)
        engine.receive(record)
    engine.advance(until_ms)
    return engine


def told(engine: Engine, rule_id: str) -> list[tuple[int, str, str]]:
    """Return (version, verdict, reason of the correction) of a rule's signals in order."""
    return [
        (s.rule_version, wire.Verdict.Name(s.verdict).removeprefix("VERDICT_"), s.correction.reason)
        for s in signals(engine.outputs)
        if s.rule_id == rule_id
    ]


def said_by(lane_outputs: list[Output]) -> list[Joined | Seen]:
    return [
        unpack_contribution(item.content)
        for output in lane_outputs
        if output.topic.startswith("many-")
        for item in unpack_items(output.value)
    ]


def test_who_has_no_such_rules_hands_nothing_on() -> None:
    rules, log = the_rules(), SpansLog()
    rules.rule("check", CHECK)
    rules.rule("logins", LOGINS, tenant=OTHER_TENANT)
    log.send(1_000, span("a", "charge", 900, amount=20), span("b", "login", 900, user__id="u"))
    log.send(1_000, span("c", "login", 900, user__id="u"), tenant=OTHER_TENANT)
    engine = Engine(rules)
    for record in log.records:
        engine.receive(record)
    outputs = [
        output
        for number, lane in engine.lanes.items()
        for output in lane.advance(9_000, engine.stores[number])
    ]
    assert [(one.tenant, type(one)) for one in said_by(outputs)] == [(OTHER_TENANT, Joined)]


def test_what_only_such_rules_ask_for_is_none_of_the_traces_concern() -> None:
    rules, log = the_rules(), SpansLog()
    rules.rule("logins", LOGINS)
    rules.rule("beats", "expect { beat } every 1h by host")
    rules.rule("login-is-audited", "when { login } always { audit }")
    log.send(1_000, span("a", "login", 900, user__id="u"), span("a", "beat", 900, host="h"))
    log.send(1_000, span("b", "beat", 900, host="h"))
    engine = played(rules, log, until_ms=1_500)
    by_spans = {trace.spans: trace for lane in engine.lanes.values() for trace in _open(lane)}
    assert (by_spans[2].true != 0, by_spans[2].kept) == (True, None)
    assert (by_spans[1].true, by_spans[1].kept) == (0, None)
    engine.advance(9_000)
    assert told(engine, "login-is-audited") == [(1, "VIOLATED", "")]


def _open(lane: Lane) -> list[Any]:
    return [trace for tenant in lane._tenants.values() for trace in tenant.open.values()]


def test_a_span_delivered_twice_counts_once() -> None:
    rules, log = the_rules(), SpansLog()
    rules.rule("logins", LOGINS)
    log.send(1_000, span("a", "login", 900, user__id="u"))
    log.send(2_000, span("a", "login", 900, user__id="u"))
    assert told(played(rules, log, until_ms=9_000), "logins") == []


def test_spans_of_a_trace_that_is_too_late_are_not_handed_on() -> None:
    rules, log = the_rules(lateness_ms=10_000), SpansLog()
    rules.rule("logins", LOGINS)
    log.send(1_000, span("a", "login", 900, user__id="u"))
    log.send(75_000, span("a", "login", 950, user__id="u"))
    engine = played(rules, log, until_ms=90_000)
    assert (told(engine, "logins"), counts(engine.outputs)["too_late"]) == ([], 1)


def test_spans_of_a_trace_that_is_not_opened_are_handed_on() -> None:
    rules, log = the_rules(max_open_traces=LANES), SpansLog()
    rules.rule("logins", LOGINS)
    lanes: dict[int, str] = {}
    for trace in map(str, range(100)):
        other = lanes.setdefault(lane_of(TENANT, trace_id(trace)), trace)
        if other != trace:
            break
    log.send(1_000, span(other, "login", 900, user__id="u"))
    log.send(1_001, span(trace, "login", 901, user__id="u"))
    engine = played(rules, log, until_ms=30_000)
    assert told(engine, "logins") == [(1, "VIOLATED", "")]
    assert counts(engine.outputs)["over_cap"] == 1


def test_members_without_the_key_are_counted() -> None:
    rules, log = the_rules(), SpansLog()
    rules.rule("logins", LOGINS)
    rules.rule("beats", "expect { beat } every 1h by host")
    log.send(1_000, span("a", "login", 900), span("a", "beat", 901))
    engine = played(rules, log, until_ms=30_000)
    assert counts(engine.outputs)["members_no_key"] == 2


def test_keys_over_the_limit_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_lane, "MAX_KEYS", 32)
    rules, log = the_rules(), SpansLog()
    rules.rule("logins", "correlate { login } by user.id within 1m having count >= 1")
    for number in range(200):
        log.send(1_000, span(f"t{number}", "login", 900, user__id=f"u{number}"))
    engine = played(rules, log, until_ms=9_000)
    engine.advance(60_000)
    found = counts(engine.outputs)
    assert found["signals"] == 32
    assert found["members_too_many_keys"] == 200 - 32


def test_keys_of_all_rules_of_a_tenant_have_a_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_lane, "TENANT_KEYS", 32)
    rules, log = the_rules(), SpansLog()
    for rule_id in ("one", "two"):
        rules.rule(rule_id, "correlate { login } by user.id within 1m having count >= 1")
    rules.rule("theirs", LOGINS.replace("2", "1"), tenant=OTHER_TENANT)
    for number in range(100):
        log.send(1_000, span(f"t{number}", "login", 900, user__id=f"u{number}"))
    log.send(1_000, span("x", "login", 900, user__id="u"), tenant=OTHER_TENANT)
    engine = played(rules, log, until_ms=60_000)
    own = [s for s in signals(engine.outputs) if s.tenant == TENANT]
    assert len({s.id for s in own}) <= 32
    assert [s.rule_id for s in signals(engine.outputs) if s.tenant == OTHER_TENANT] == ["theirs"]


def test_a_signal_that_gets_another_field_leaves_its_key() -> None:
    rules, log = the_rules(), SpansLog()
    rules.rule(
        "audited",
        "when { read as r } always { audit.where(id == r.id) }",
        group_by=["user.id"],
    )
    rules.rule("one", 'correlate { violated("audited") } by user.id within 1m having count >= 1')
    log.send(1_000, span("a", "read", 900, id=1, user__id="u1"))
    # An earlier read comes late: its user stands for the signal now.
    log.send(6_000, span("a", "read", 800, "read/900", id=2, user__id="u2"))
    engine = played(rules, log, until_ms=30_000)
    keys = [
        (s.correlated.key[0].value, wire.Verdict.Name(s.verdict).removeprefix("VERDICT_"))
        for s in signals(engine.outputs)
        if s.rule_id == "one"
    ]
    assert sorted(keys) == [("u1", "SATISFIED"), ("u1", "VIOLATED"), ("u2", "VIOLATED")]


def test_a_replaced_expect_expects_nothing_and_takes_nothing_back() -> None:
    rules, log = the_rules(), SpansLog()
    rules.rule("beats", "expect { beat } every 5s by host")
    rules.rule("beats", "expect { beat } every 6s by host", version=2, at_ms=15_000)
    log.send(1_000, span("a", "beat", 1_000, host="h"))
    log.send(19_000, span("b", "beat", 19_000, host="i"))
    log.send(21_000, span("c", "beat", 21_000, host="j"))
    engine = played(rules, log, until_ms=26_000)
    assert told(engine, "beats") == [(1, "VIOLATED", ""), (1, "SATISFIED", "forgotten")]
    engine.advance(30_000)
    assert told(engine, "beats")[2:] == [(2, "VIOLATED", "")]


def test_an_expect_that_is_switched_off_expects_nothing_any_more() -> None:
    rules, log = the_rules(), SpansLog()
    rules.rule("beats", "expect { beat } every 20s")
    rules.rule("beats", "expect { beat } every 20s", version=2, at_ms=5_000, state="OFF")
    log.send(1_000, span("a", "beat", 1_000))
    assert told(played(rules, log, until_ms=100_000), "beats") == []


def test_nothing_is_expected_of_the_time_before_the_record_begins() -> None:
    rules = the_rules()
    rules.rule("beats", "expect { beat } every 20s", at_ms=-1_000_000)
    engine = Engine(rules)
    engine.many.wake(time_ms=100_000)
    engine.advance(119_999)
    assert told(engine, "beats") == []
    engine.advance(121_000)
    assert told(engine, "beats") == [(1, "VIOLATED", "")]


def test_a_correlate_in_shadow_says_so() -> None:
    rules, log = the_rules(), SpansLog()
    rules.rule("logins", LOGINS, state="SHADOW")
    log.send(1_000, span("a", "login", 900, user__id="u"), span("b", "login", 901, user__id="u"))
    (signal,) = signals(played(rules, log, until_ms=5_000).outputs)
    assert (signal.shadow, signal.trace_id, signal.correlated.count) == (True, b"", 2)
    assert [member.span_id != b"" for member in signal.correlated.members] == [True, True]


def test_the_greatest_watermark_judges_nothing() -> None:
    rules, log = the_rules(), SpansLog()
    rules.rule("beats", "expect { beat } every 20s")
    log.send(1_000, span("a", "beat", 1_000))
    engine = played(rules, log, until_ms=5_000)
    assert engine.many.advance([], 2**63 - 1) == []


def test_sightings_between_others_that_are_close_decide_nothing() -> None:
    seen = [(0, "a"), (3, "b"), (4, "c"), (9, "d"), (12, "e"), (13, "f"), (40, "g")]
    assert thinned(seen[::-1], every_ns=5) == [
        (0, "a"), (4, "c"), (9, "d"), (13, "f"), (40, "g"),
    ]  # fmt: skip
    assert thinned([(1, "a")], every_ns=5) == [(1, "a")]


BEATS = "expect { beat } every 10s by host"


def beats(rules: RulesLog, *seen: tuple[int, str, int]) -> SpansLog:
    """Return a log in which hosts beat: when it comes, which host, and when it was."""
    rules.rule("beats", BEATS)
    log = SpansLog()
    for number, (at_ms, host, time_ms) in enumerate(seen):
        log.send(at_ms, span(f"t{number}", "beat", time_ms, host=host))
    return log


def test_a_key_that_a_person_forgets_is_not_expected_until_it_is_seen_again() -> None:
    rules = the_rules()
    log = beats(rules, (1_000, "gone", 1_000), (1_000, "here", 1_000), (60_000, "gone", 60_000))
    rules.forget("beats", "gone", at_ms=0)
    engine = played(rules, log, until_ms=30_000)
    assert [signal.overdue.key[0].value for signal in signals(engine.outputs)] == ["here"]
    engine.advance(80_000)
    again = [s for s in signals(engine.outputs) if s.overdue.key[0].value == "gone"]
    assert [s.overdue.last_seen_ns // 1_000_000 for s in again] == [60_000]


def test_what_was_said_of_a_key_is_resolved_when_a_person_forgets_it() -> None:
    rules = the_rules()
    log = beats(rules, (1_000, "gone", 1_000))
    rules.forget("beats", "gone", at_ms=20_000)
    told_of = told(played(rules, log, until_ms=60_000), "beats")
    assert told_of == [(1, "VIOLATED", ""), (1, "SATISFIED", "forgotten")]
    assert [s.judged_ms for s in signals(played(rules, log, until_ms=60_000).outputs)] == [
        11_500,
        25_000,
    ]


def test_a_sighting_that_comes_after_its_key_was_forgotten_brings_it_not_back() -> None:
    rules = the_rules()
    log = beats(rules, (9_000, "gone", 1_000))
    rules.forget("beats", "gone", at_ms=0)
    assert told(played(rules, log, until_ms=60_000), "beats") == []


def test_a_forgetting_concerns_one_key_of_one_rule_of_one_tenant() -> None:
    rules = the_rules()
    log = beats(rules, (1_000, "h", 1_000))
    rules.forget("beats", "other", at_ms=0)
    rules.forget("others", "h", at_ms=0)
    rules.forget("beats", "h", at_ms=0, tenant=OTHER_TENANT)
    assert told(played(rules, log, until_ms=20_000), "beats") == [(1, "VIOLATED", "")]


def test_a_forgetting_that_is_repeated_in_the_log_counts_once() -> None:
    rules = the_rules()
    log = beats(rules, (1_000, "h", 1_000), (8_000, "h", 8_000))
    for at_ms in (0, 5_000):
        rules.forget("beats", "h", at_ms=at_ms, id_=b"the same")
    assert told(played(rules, log, until_ms=20_000), "beats") == [(1, "VIOLATED", "")]


def test_listed_keys_and_the_one_key_are_forgotten_too() -> None:
    rules = the_rules()
    rules.rule("listed", "expect { beat } every 10s by host in [a, b]")
    rules.rule("one", "expect { beat } every 10s")
    rules.forget("listed", "a", at_ms=0)
    rules.forget("one", "", at_ms=0)
    engine = played(rules, SpansLog(), until_ms=60_000)
    found = {(s.rule_id, *(f.value for f in s.overdue.key)) for s in signals(engine.outputs)}
    assert found == {("listed", "b")}


def test_forgetting_is_told_alike_after_restarts_and_in_one_go() -> None:
    rules = the_rules()
    log = beats(rules, (1_000, "a", 1_000), (2_000, "b", 2_000), (15_000, "b", 15_000))
    rules.forget("beats", "a", at_ms=12_300)
    rules.forget("beats", "b", at_ms=2_000)
    rules.forget("beats", "b", at_ms=40_000)
    in_one_go = Engine(rules)
    in_one_go.many.wake(time_ms=0)
    for record in log.records:
        in_one_go.receive(record)
    in_one_go.advance(90_000)
    in_steps = Engine(rules)
    in_steps.many.wake(time_ms=0)
    for record in log.records:
        in_steps.receive(record)
    for now_ms in range(0, 90_001, 750):
        in_steps.advance(now_ms)
        in_steps.restart()
    values = [
        {o.value for o in one.outputs if o.topic == "signals"} for one in (in_one_go, in_steps)
    ]
    assert values[0] == values[1]
    assert len(values[0]) == 4
