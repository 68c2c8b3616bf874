"""The state of a `correlate`: revisions, ends, withdrawals, limits, and what it says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from dsl import CorrelateRule, Span, check
from dsl.many.correlation import Correlation, Counts, Limits
from dsl.many.explain import explain_correlation
from dsl.many.members import Member, Signal, member_of_signal, members_of_spans
from dsl.many.snapshot import SnapshotError, correlation_of
from dsl.verdict import Reason, Verdict


def rule_of(text: str) -> CorrelateRule:
    rule = check(text).rule
    assert isinstance(rule, CorrelateRule)
    return rule


THREE = rule_of("correlate { a } by k within 10ns having count >= 3")


def member(number: int, time_ns: int, *, key: str | None = "k1", **fields: Any) -> Member:
    return Member(f"m{number}", time_ns, f"t{number}", (key,), **fields)


def state_of(*members: Member, limits: Limits | None = None) -> Correlation:
    state = Correlation(THREE.plan, limits or Limits())
    for one in members:
        state.add(one)
    return state


def shown(told: list[Any]) -> list[tuple[Any, ...]]:
    return [(one.identity, one.revision, one.state, one.thing.count) for one in told]


SIGNAL = (("k1",), "t1", 0)
"""The signal of key k1 that trace t1 began."""


def test_a_signal_is_told_when_having_first_holds() -> None:
    state = state_of(member(1, 0), member(2, 1))
    assert state.collect() == []
    state.add(member(3, 2))
    assert shown(state.collect()) == [(SIGNAL, 1, "open", 3)]
    assert state.collect() == []


def test_a_signal_grows_by_revisions() -> None:
    state = state_of(member(1, 0), member(2, 1), member(3, 2))
    state.collect()
    state.add(member(4, 5))
    assert shown(state.collect()) == [(SIGNAL, 2, "open", 4)]


def test_a_member_that_comes_again_grows_nothing() -> None:
    state = state_of(member(1, 0), member(2, 1), member(3, 2))
    state.collect()
    state.add(member(2, 1))
    assert state.collect() == []


def test_a_new_revision_of_a_member_is_told_even_if_the_counts_are_the_same() -> None:
    state = state_of(member(1, 0), member(2, 1), member(3, 2))
    state.collect()
    state.add(member(2, 1, revision=1))
    assert shown(state.collect()) == [(SIGNAL, 2, "open", 3)]


def test_a_withdrawn_member_shrinks_or_withdraws_the_signal() -> None:
    state = state_of(member(1, 0), member(2, 1), member(3, 2), member(4, 3))
    state.collect()
    state.add(member(4, 3, revision=1, withdrawn=True))
    assert shown(state.collect()) == [(SIGNAL, 2, "open", 3)]
    state.add(member(2, 1, revision=1, withdrawn=True))
    assert shown(state.collect()) == [(SIGNAL, 3, "withdrawn", 3)]
    state.add(member(2, 1, revision=2))
    assert shown(state.collect()) == [(SIGNAL, 4, "open", 3)]


def test_a_withdrawal_that_overtakes_its_member_is_remembered() -> None:
    state = state_of(member(1, 0), member(2, 1), member(3, 2, revision=1, withdrawn=True))
    state.add(member(3, 2))
    assert state.collect() == []


def test_a_signal_is_over_once_the_window_has_passed_without_it() -> None:
    state = state_of(member(1, 0), member(2, 1), member(3, 2))
    state.collect()
    state.advance(12)
    assert state.collect() == []
    state.advance(13)
    assert shown(state.collect()) == [(SIGNAL, 2, "over", 3)]


def test_a_later_window_is_another_signal() -> None:
    state = state_of(*(member(i, i) for i in (1, 2, 3)), *(member(i, i + 20) for i in (4, 5, 6)))
    assert shown(state.collect()) == [
        (SIGNAL, 1, "open", 3),
        ((("k1",), "t4", 0), 1, "open", 3),
    ]


def test_two_signals_that_begin_with_one_trace_are_told_apart() -> None:
    members = [
        Member(f"m{i}", time_ns, "t1", ("k1",)) for i, time_ns in enumerate((0, 1, 2, 30, 31, 32))
    ]
    identities = [one.identity for one in state_of(*members).collect()]
    assert identities == [(("k1",), "t1", 0), (("k1",), "t1", 1)]


def test_a_signal_keeps_its_name_when_an_earlier_one_of_its_trace_is_forgotten() -> None:
    plan = rule_of("correlate { a } by k within 10ns having count >= 1").plan
    state = Correlation(plan, Limits(lateness_ns=50))
    state.add(Member("m1", 0, "t1", ("k1",)))
    state.add(Member("m2", 40, "t1", ("k1",)))
    assert [one.identity[2] for one in state.collect()] == [0, 1]
    told = []
    for watermark_ns in (61, 75, 95):
        state.advance(watermark_ns)
        told += state.collect()
    assert [(one.identity[2], one.state) for one in told] == [(0, "over"), (1, "over")]


def test_an_earlier_first_member_makes_another_signal_of_it() -> None:
    state = state_of(member(2, 1), member(3, 2), member(4, 3))
    state.collect()
    state.add(member(1, 0))
    assert shown(state.collect()) == [
        (SIGNAL, 1, "open", 4),
        ((("k1",), "t2", 0), 2, "withdrawn", 3),
    ]


def test_members_without_the_key_are_counted() -> None:
    state = state_of(member(1, 0, key=None), member(2, 0, key=None))
    assert (state.counts, state.keys) == (Counts(no_key=2), {})


def test_keys_over_the_limit_are_counted_and_others_go_on() -> None:
    limits = Limits(max_keys=1)
    state = state_of(
        member(1, 0), member(9, 0, key="k2"), member(2, 1), member(3, 2), limits=limits
    )
    assert shown(state.collect()) == [(SIGNAL, 1, "open", 3)]
    assert state.counts == Counts(too_many_keys=1)


def test_keys_that_are_forgotten_make_room() -> None:
    limits = Limits(max_keys=1, lateness_ns=5)
    state = state_of(member(1, 0), limits=limits)
    state.collect()
    state.advance(100)
    state.collect()
    state.add(member(9, 100, key="k2"))
    assert (state.counts.too_many_keys, list(state.keys)) == (0, [("k2",)])


def test_members_that_come_too_late_are_counted() -> None:
    state = state_of(limits=Limits(lateness_ns=5))
    state.advance(20)
    state.add(member(1, 15))
    state.add(member(2, 14))
    assert (state.counts.too_late, list(state.keys[("k1",)].members)) == (1, ["m1"])


def test_a_key_with_too_many_members_is_truncated_and_only_what_that_leaves_certain_stands() -> (
    None
):
    most = rule_of("correlate { a } by k within 10ns having count <= 2")
    state = Correlation(most.plan, Limits(max_members=2))
    for i in range(3):
        state.add(member(i, 5))
    state.collect()
    assert state.counts.too_many_members == 1
    assert state.verdict() == (Verdict.INCONCLUSIVE, (Reason.TRUNCATED,))
    at_least = Correlation(THREE.plan, Limits(max_members=3))
    for i in range(9):
        at_least.add(member(i, 5))
    at_least.collect()
    assert at_least.verdict() == (Verdict.VIOLATED, ())


@pytest.mark.parametrize(
    ("having", "count", "verdict"),
    [
        ("count >= 3", 3, Verdict.VIOLATED),
        ("count >= 3", 2, Verdict.INCONCLUSIVE),
        ("count >= 3", 0, Verdict.INCONCLUSIVE),
        ("count == 3", 3, Verdict.INCONCLUSIVE),
        ("count == 3", 4, Verdict.INCONCLUSIVE),  # the window that ends at the third
        ("count < 0", 2, Verdict.SATISFIED),
    ],
)
def test_for_a_sampled_tenant_only_what_no_missing_trace_can_turn_is_certain(
    having: str, count: int, verdict: Verdict
) -> None:
    plan = rule_of(f"correlate {{ a }} by k within 10ns having {having}").plan
    state = Correlation(plan, Limits(sampled=True))
    for i in range(count):
        state.add(member(i, i))
    state.collect()
    reasons = (Reason.SAMPLED,) if verdict is Verdict.INCONCLUSIVE else ()
    assert state.verdict() == (verdict, reasons)


# -- members ---------------------------------------------------------------------------------------

BOTH = rule_of('correlate { violated("r") or a } by user.id within 1m having sum(amount) > 5')


def test_a_span_gives_its_keys_and_what_having_reads() -> None:
    span = Span(b"12345678", "a", start_ns=7, attributes={"user.id": 3, "amount": "4.5"})
    (found,) = members_of_spans(BOTH, [span, Span(b"x", "b")], trace_id="t")
    assert (found.time_ns, found.trace_id, found.keys, found.values) == (7, "t", ("3",), ("4.5",))
    assert (found.source, found.label, found.doubtful, found.withdrawn) == (1, "a", False, False)


def test_client_and_server_with_a_shared_id_are_two_members() -> None:
    spans = [Span(b"12345678", "a", kind="client"), Span(b"12345678", "a", kind="server")]
    found = members_of_spans(BOTH, spans, trace_id="t")
    assert len({one.id for one in found}) == 2


def test_an_array_is_no_key() -> None:
    span = Span(b"12345678", "a", attributes={"user.id": ["u1"]})
    assert members_of_spans(BOTH, [span], trace_id="t")[0].keys == (None,)


def test_a_signal_gives_the_fields_it_is_grouped_by() -> None:
    signal = Signal("s1", "r", 5, "t", {"user.id": "u1"}, revision=3, withdrawn=True)
    assert member_of_signal(BOTH, signal) == Member(
        "s1", 5, "t", ("u1",), (None,), revision=3, withdrawn=True, label="r"
    )


def test_a_signal_of_another_rule_is_no_member() -> None:
    assert member_of_signal(BOTH, Signal("s1", "other", 5, "t", {"user.id": "u1"})) is None


def test_rule_and_service_are_fields_of_every_signal() -> None:
    rule = rule_of('correlate { violated("r") } by rule, service within 1m having count > 1')
    found = member_of_signal(rule, Signal("s1", "r", 5, "t", {}, service="crm"))
    assert found is not None
    assert found.keys == ("r", "crm")


# -- explanations ----------------------------------------------------------------------------------


def test_an_explanation_tells_members_values_counts_and_the_window() -> None:
    rule = rule_of(
        "correlate { pay or refund }\nby card within 10ns\nhaving count >= 2 and sum(amount) > 5"
    )
    state = Correlation(rule.plan)
    spans = [
        Span(b"1" * 8, "pay", start_ns=1, attributes={"card": "c1", "amount": 4}),
        Span(b"2" * 8, "pay", start_ns=9, attributes={"card": "c1", "amount": 2.5}),
        Span(b"3" * 8, "pay", start_ns=9, attributes={"card": "c2", "amount": 9}),
    ]
    for one in members_of_spans(rule, spans, trace_id="t1"):
        state.add(one)
    state.collect()
    explanation = explain_correlation(rule, state)
    told = explanation.to_dict()
    assert (told["verdict"], told["reasons"], told["signals"]) == ("violated", [], 1)
    assert told["key"] == {"card": "c1"}
    assert told["times"] == {"window_from": -1, "window_to": 9, "held_since": 9, "held_last": 9}
    pay, refund = told["clauses"][0]["conditions"]
    assert (pay["text"], pay["state"], pay["total"], pay["column"]) == ("pay", "true", 2, 13)
    assert [one["values"] for one in pay["spans"]] == [
        {"at": "1ns", "trace": "t1", "amount": 4},
        {"at": "9ns", "trace": "t1", "amount": 2.5},
    ]
    assert (refund["text"], refund["state"], refund["total"]) == ("refund", "false", 0)
    having = told["clauses"][1]
    assert (having["clause"], having["state"]) == ("having", "true")
    assert [(one["line"], one["measured"]) for one in having["conditions"]] == [
        (3, {"count": [2, 2]}),
        (3, {"sum(amount)": [6.5, 6.5]}),
    ]
    text = explanation.render_text()
    assert "card = c1" in text
    assert "sum(amount) = 6.5" in text


def test_where_nothing_is_violated_the_nearest_window_is_told() -> None:
    state = state_of(member(1, 0), member(2, 50), member(3, 51), member(4, 0, key="k2"))
    state.collect()
    told = explain_correlation(THREE, state).to_dict()
    assert (told["verdict"], told["key"]) == ("satisfied", {"k": "k1"})
    assert told["times"] == {"window_from": 41, "window_to": 51}
    assert told["clauses"][1]["conditions"][0]["measured"] == {"count": [2, 2]}


def test_without_members_there_is_nothing_to_measure() -> None:
    told = explain_correlation(THREE, state_of()).to_dict()
    assert (told["verdict"], told["key"], told["signals"]) == ("not_applicable", {}, 0)
    assert told["clauses"][1]["conditions"][0]["measured"] == {}


def test_an_unbounded_measure_has_no_greatest() -> None:
    state = state_of(member(1, 0), limits=Limits(sampled=True))
    state.collect()
    told = explain_correlation(THREE, state).to_dict()
    assert told["reasons"] == ["sampled"]
    assert told["clauses"][1]["conditions"][0]["measured"] == {"count": [1, None]}


def test_a_snapshot_of_another_version_is_refused() -> None:
    with pytest.raises(SnapshotError):
        correlation_of(THREE.plan, Limits(), {"version": 0})


def test_a_signal_that_comes_back_after_it_was_withdrawn_has_the_next_revision() -> None:
    plan = rule_of("correlate { a } by k within 10ns having count >= 1").plan
    state = Correlation(plan, Limits(lateness_ns=50))
    state.add(Member("m1", 0, "t1", ("k1",)))
    told = state.collect()
    state.add(Member("m1", 0, "t1", ("k1",), revision=1, withdrawn=True))
    told += state.collect()
    state.advance(75)  # the withdrawn member is forgotten, and the trace lives on
    told += state.collect()
    state.add(Member("m2", 40, "t1", ("k1",)))
    told += state.collect()
    assert [(one.identity, one.revision, one.state) for one in told] == [
        (SIGNAL, 1, "open"),
        (SIGNAL, 2, "withdrawn"),
        (SIGNAL, 3, "over"),
    ]


def test_a_signal_keeps_its_name_when_it_and_an_earlier_one_become_final_together() -> None:
    plan = rule_of("correlate { a } by k within 10ns having count >= 1").plan
    state = Correlation(plan, Limits(lateness_ns=41))
    state.add(Member("m1", 0, "t1", ("k1",)))
    state.add(Member("m2", 11, "t1", ("k1",)))
    told = state.collect()
    for watermark_ns in (60, 61, 75, 90, 105, 300):  # at 60 the first is final, the second carried
        state.advance(watermark_ns)
        state.dirty |= state.keys.keys()
        told += state.collect()
    assert [(one.identity[2], one.revision, one.state) for one in told] == [
        (0, 1, "open"),
        (1, 1, "open"),
        (0, 2, "over"),
        (1, 2, "over"),
    ]
    assert state.keys == {}
