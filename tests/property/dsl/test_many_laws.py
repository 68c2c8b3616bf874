"""Laws of rules over many traces: neither order nor repetition shows, withdrawals undo."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dsl import check, render
from dsl.many.correlation import Correlation, Limits
from dsl.many.expectation import THE_ONE_KEY, Expectation, ExpectLimits
from dsl.many.ledger import Told
from dsl.many.members import Member
from dsl.many.plan import CorrelatePlan, ExpectPlan
from dsl.many.rule import CorrelateRule, ExpectRule
from dsl.many.snapshot import (
    correlation_of,
    correlation_snapshot,
    expectation_of,
    expectation_snapshot,
)
from tests.support import naive_many

WITHIN_NS = 10
MEASURES = [
    *("count", "distinct(trace)", "distinct(v)", "sum(v)", "avg(v)", "min(v)", "max(v)"),
    *("p50(v)", "p95(v)", "sum(w)"),
]
OPS = ["==", "!=", "<", "<=", ">", ">="]


def bounds() -> st.SearchStrategy[str]:
    numbers = st.sampled_from(["0", "1", "2", "3", "5", "-1", "2.5"])
    return st.tuples(st.sampled_from(MEASURES), st.sampled_from(OPS), numbers).map(" ".join)


def havings() -> st.SearchStrategy[str]:
    return st.recursive(
        bounds(),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda two: f"({two[0]} and {two[1]})"),
            st.tuples(inner, inner).map(lambda two: f"({two[0]} or {two[1]})"),
            inner.map(lambda one: f"not ({one})"),
        ),
        max_leaves=3,
    )


def correlates() -> st.SearchStrategy[CorrelatePlan]:
    """Plans whose fields are a and b at most."""

    def plan_of(having: str) -> CorrelatePlan:
        rule = check(f"correlate {{ x }} by k within {WITHIN_NS}ns having {having}").rule
        assert isinstance(rule, CorrelateRule)
        return rule.plan

    return havings().map(plan_of)


@st.composite
def members(draw: st.DrawFn, plan: CorrelatePlan) -> list[Member]:
    """Members of few keys and traces, some revised, some withdrawn; what an id says is fixed."""
    found = []
    for number in range(draw(st.integers(0, 12))):
        id_ = f"m{number}"
        time_ns = draw(st.integers(0, 40))
        trace_id = draw(st.sampled_from(["t1", "t2", "t3"]))
        key = draw(st.sampled_from(["k1", "k1", "k2", None]))
        revisions = draw(st.integers(1, 3))
        for revision in range(revisions):
            values = tuple(
                draw(st.sampled_from([None, 1, 2, 5, 0.5, "3", "text"])) for _ in plan.fields
            )
            withdrawn = revision > 0 and draw(st.booleans())
            found.append(
                Member(id_, time_ns, trace_id, (key,), values, (), revision, withdrawn=withdrawn)
            )
    return found


@st.composite
def plans_and_members(draw: st.DrawFn) -> tuple[CorrelatePlan, list[Member]]:
    plan = draw(correlates())
    return plan, draw(members(plan))


def _standing(state: Correlation) -> set[Any]:
    return {
        (key, one.trace_id, one.occurrence, one.since_ns, one.last_ns, one.count)
        for key, one in state.standing()
    }


def _final(told: list[Told[Any, Any]]) -> dict[Any, Told[Any, Any]]:
    """Return what somebody believes who keeps the highest revision of each signal."""
    newest: dict[Any, Told[Any, Any]] = {}
    for one in told:
        assert one.revision == newest[one.identity].revision + 1 if one.identity in newest else True
        newest[one.identity] = one
    return {identity: one for identity, one in newest.items() if one.state != "withdrawn"}


@settings(max_examples=200, deadline=None)
@given(plans_and_members(), st.data())
def test_any_order_and_repetition_gives_the_signals_of_brute_force(
    given_: tuple[CorrelatePlan, list[Member]], data: st.DataObject
) -> None:
    plan, found = given_
    shuffled = data.draw(st.permutations([*found, *found]))
    state = Correlation(plan)
    told: list[Told[Any, Any]] = []
    for member in shuffled:
        state.add(member)
        if data.draw(st.booleans()):
            told += state.collect()
    told += state.collect()
    expected = naive_many.signals(plan, found)
    assert _standing(state) == expected
    believed = {
        (*identity, one.thing.since_ns, one.thing.last_ns, one.thing.count)
        for identity, one in _final(told).items()
    }
    assert believed == expected


@settings(max_examples=200, deadline=None)
@given(plans_and_members(), st.data())
def test_members_that_come_and_go_leave_nothing(
    given_: tuple[CorrelatePlan, list[Member]], data: st.DataObject
) -> None:
    plan, found = given_
    plain, disturbed = Correlation(plan), Correlation(plan)
    for member in found:
        plain.add(member)
        disturbed.add(member)
    plain.collect()
    disturbed.collect()
    for number in range(data.draw(st.integers(1, 4))):
        time_ns = data.draw(st.integers(0, 40))
        values = tuple(1 for _ in plan.fields)
        extra = Member(f"x{number}", time_ns, "t9", ("k1",), values)
        gone = Member(f"x{number}", time_ns, "t9", ("k1",), values, revision=1, withdrawn=True)
        disturbed.add(extra)
        disturbed.collect()
        disturbed.add(gone)
    disturbed.collect()
    assert _standing(disturbed) == _standing(plain)


@settings(max_examples=150, deadline=None)
@given(plans_and_members(), st.one_of(st.integers(0, 25), st.just(41)), st.data())
def test_what_is_forgotten_in_time_changes_no_signal(
    given_: tuple[CorrelatePlan, list[Member]], lateness_ns: int, data: st.DataObject
) -> None:
    """Members come in any order that keeps to the lateness; the machine forgets as it goes."""
    plan, found = given_
    # A trace lives no longer than members may be late; otherwise each is a trace of its own.
    distinct = [
        replace(one, trace_id=one.trace_id if lateness_ns > 40 else one.id) for one in found
    ]
    delayed = [(m.time_ns + data.draw(st.integers(0, lateness_ns)), m) for m in distinct]
    state = Correlation(plan, Limits(lateness_ns=lateness_ns))
    told: list[Told[Any, Any]] = []
    for at_ns, member in sorted(delayed, key=lambda one: one[0]):
        state.advance(at_ns)
        if data.draw(st.booleans()):
            told += state.collect()
        state.add(member)
        if data.draw(st.booleans()):
            told += state.collect()
    told += state.collect()
    restless = data.draw(st.booleans())
    for at_ns in (*range(42, 140, data.draw(st.integers(2, 9))), 300):
        state.advance(at_ns)
        if restless:
            state.dirty |= state.keys.keys()  # it may look again, and forget, whenever it likes
        told += state.collect()
    assert state.counts.too_late == 0
    believed = {
        (*identity, one.thing.since_ns, one.thing.last_ns, one.thing.count)
        for identity, one in _final(told).items()
    }
    assert believed == naive_many.signals(plan, distinct)
    assert {one.state for one in _final(told).values()} <= {"over"}
    assert state.keys == {}


@settings(max_examples=200, deadline=None)
@given(plans_and_members(), st.data())
def test_a_certain_signal_of_a_sampled_tenant_stands_whatever_was_missing(
    given_: tuple[CorrelatePlan, list[Member]], data: st.DataObject
) -> None:
    plan, found = given_
    state = Correlation(plan, Limits(sampled=True))
    for member in found:
        state.add(member)
    state.collect()
    missing = [
        Member(f"x{i}", data.draw(st.integers(0, 40)), "t9", ("k1",),
               tuple(data.draw(st.sampled_from([None, 0, 9])) for _ in plan.fields))
        for i in range(data.draw(st.integers(1, 3)))
    ]  # fmt: skip
    whole = naive_many.signals(plan, [*found, *missing])
    for key, episode in state.standing():
        if episode.certain:
            assert any(
                other[0] == key and other[3] <= episode.last_ns and other[4] >= episode.since_ns
                for other in whole
            )
    as_is = {(key, one.since_ns, one.last_ns) for key, one in state.standing()}
    assert as_is == {(one[0], one[3], one[4]) for one in naive_many.signals(plan, found)}


@settings(max_examples=150, deadline=None)
@given(plans_and_members(), st.integers(0, 12), st.data())
def test_a_correlation_goes_on_from_its_snapshot(
    given_: tuple[CorrelatePlan, list[Member]], cut: int, data: st.DataObject
) -> None:
    plan, found = given_
    limits = Limits(lateness_ns=41)  # as long as the traces here live
    state = Correlation(plan, limits)
    for member in found[:cut]:
        state.add(member)
        if data.draw(st.booleans()):
            state.advance(data.draw(st.integers(0, 40)))
            state.collect()
    kept = json.loads(json.dumps(correlation_snapshot(state)))
    again = correlation_of(plan, limits, kept)
    assert correlation_snapshot(again) == kept
    for member in found[cut:]:
        state.add(member)
        again.add(member)
    assert again.collect() == state.collect()
    for at_ns in (45, 60, 75, 90, 105, 300):
        state.advance(at_ns)
        again.advance(at_ns)
        assert again.collect() == state.collect()
    assert again.counts == state.counts


# -- expect ----------------------------------------------------------------------------------------

EVERY_NS = 5


def _expect(text: str) -> ExpectPlan:
    rule = check(text).rule
    assert isinstance(rule, ExpectRule)
    return rule.plan


ONE_KEY = _expect(f"expect {{ x }} every {EVERY_NS}ns")
KEYED = _expect(f"expect {{ x }} every {EVERY_NS}ns by k")
LISTED = _expect(f"expect {{ x }} every {EVERY_NS}ns by k in [a, b]")
sightings = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 60)), max_size=12)


def _gaps(state: Expectation) -> set[Any]:
    return {(key, one.since.time_ns, one.until_ns, one.why) for key, one in state.standing()}


def _expected_gaps(plan: ExpectPlan, seen: list[tuple[str, int]], watermark_ns: int) -> set[Any]:
    by_key: dict[str, list[int]] = {}
    listed = [THE_ONE_KEY] if plan.by is None else list(plan.listed)
    for key in listed:
        by_key[key] = [0]
    for key, time_ns in seen:
        of_key = THE_ONE_KEY if plan.by is None else key
        if not plan.listed or of_key in plan.listed:
            by_key.setdefault(of_key, []).append(time_ns)
    return {
        (key, *gap)
        for key, times in by_key.items()
        for gap in naive_many.gaps(
            times,
            every_ns=EVERY_NS,
            watermark_ns=watermark_ns,
            forget_ns=None if key in listed else 7 * EVERY_NS,
        )
    }


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([ONE_KEY, KEYED, LISTED]), sightings, st.integers(0, 120), st.data())
def test_any_order_of_sightings_gives_the_gaps_of_brute_force(
    plan: ExpectPlan, seen: list[tuple[str, int]], watermark_ns: int, data: st.DataObject
) -> None:
    state = Expectation(plan, 0)
    told: list[Told[Any, Any]] = []
    for key, time_ns in data.draw(st.permutations([*seen, *seen])):
        state.sight(THE_ONE_KEY if plan.by is None else key, time_ns)
        if data.draw(st.booleans()):
            state.advance(data.draw(st.integers(0, watermark_ns)))
            told += state.collect()
    state.advance(watermark_ns)
    told += state.collect()
    expected = _expected_gaps(plan, seen, watermark_ns)
    assert _gaps(state) == expected
    believed = {
        (*identity, one.thing.until_ns, one.thing.why) for identity, one in _final(told).items()
    }
    assert believed == expected


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([ONE_KEY, KEYED, LISTED]), sightings, st.integers(0, 30), st.data())
def test_what_an_expect_forgets_in_time_changes_no_gap(
    plan: ExpectPlan, seen: list[tuple[str, int]], lateness_ns: int, data: st.DataObject
) -> None:
    state = Expectation(plan, 0, ExpectLimits(lateness_ns=lateness_ns))
    told: list[Told[Any, Any]] = []
    delayed = [(time_ns + data.draw(st.integers(0, lateness_ns)), key, time_ns)
               for key, time_ns in seen]  # fmt: skip
    for at_ns, key, time_ns in sorted(delayed):
        state.advance(at_ns)
        if data.draw(st.booleans()):
            told += state.collect()
        state.sight(THE_ONE_KEY if plan.by is None else key, time_ns)
        told += state.collect()
    for at_ns in (100, 200, 300):
        state.advance(at_ns)
        told += state.collect()
    assert state.counts.too_late == 0
    believed = {
        (*identity, one.thing.until_ns, one.thing.why) for identity, one in _final(told).items()
    }
    assert believed == _expected_gaps(plan, seen, 300)
    assert plan.by is None or plan.listed or state.keys == {}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([ONE_KEY, KEYED, LISTED]), sightings, st.integers(0, 12), st.data())
def test_an_expectation_goes_on_from_its_snapshot(
    plan: ExpectPlan, seen: list[tuple[str, int]], cut: int, data: st.DataObject
) -> None:
    limits = ExpectLimits(lateness_ns=20)
    state = Expectation(plan, 0, limits)
    for key, time_ns in seen[:cut]:
        state.sight(THE_ONE_KEY if plan.by is None else key, time_ns, trace_id="t")
        state.advance(data.draw(st.integers(0, 60)))
        if data.draw(st.booleans()):
            state.collect()
    kept = json.loads(json.dumps(expectation_snapshot(state)))
    again = expectation_of(plan, limits, kept)
    assert expectation_snapshot(again) == kept
    for key, time_ns in seen[cut:]:
        for one in (state, again):
            one.sight(THE_ONE_KEY if plan.by is None else key, time_ns)
    for at_ns in (60, 90, 200):
        state.advance(at_ns)
        again.advance(at_ns)
        assert again.collect() == state.collect()


# -- texts -----------------------------------------------------------------------------------------


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Texts of both kinds that check."""
    term = draw(
        st.sampled_from(["a", "b.c.where(x == 1)", '"GET /x"', "any.where(name == n)", "violated"])
    )
    if draw(st.booleans()):
        listed = draw(st.sampled_from(["", " by k", ' by service in [a, "b c", 3]']))
        return f"expect {{ {term} }} every {draw(st.integers(1, 90))}m{listed}"
    source = draw(st.sampled_from([term, f'{term} or violated("r-1")', 'violated("r-1") or a']))
    by = draw(st.sampled_from(["k", 'user.id, service, "x y"', "status", '"status"', "resource.z"]))
    having = draw(havings())
    return f"correlate {{ {source} }} by {by} within {draw(st.integers(1, 90))}s having {having}"


@settings(max_examples=150, deadline=None)
@given(texts())
def test_printing_and_parsing_are_inverse(text: str) -> None:
    rule = check(text).rule
    assert rule is not None
    again = check(rule.canonical).rule
    assert again is not None
    assert (again.plan, again.canonical) == (rule.plan, rule.canonical)


WORDS = [
    *("correlate", "expect", "{", "}", "(", ")", "[", "]", ",", ".", 'violated("x")', "violated"),
    *("a", "b.c", "by", "within", "having", "every", "in", "10m", "5", "-", "count", "sum(x)"),
    *("distinct(trace)", ">=", "==", "and", "or", "not", ".where(", "k", "status", "of", "then"),
    *("as", "child", "when {", "expect {", "//", '"', "&&", "\n", "0s", "matches", "\ud800", "é"),
]


def _check_whole(text: str) -> None:
    checked = check(text, fields_of=lambda _rule: ("k",))
    assert (checked.rule is None) == bool(checked.problems)
    lines = text.split("\n")
    for problem in (*checked.problems, *checked.warnings):
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert (problem.line, problem.column) <= (problem.end_line, problem.end_column)
    render(text, checked.problems)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(["correlate {", "expect {", "correlate", ""]), st.data())
def test_words_in_any_order_give_a_rule_or_problems(opening: str, data: st.DataObject) -> None:
    words = data.draw(st.lists(st.sampled_from(WORDS), max_size=25))
    _check_whole(" ".join([opening, *words]))


@settings(max_examples=200, deadline=None)
@given(texts(), st.data())
def test_a_text_with_one_piece_cut_or_put_in(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 5))
    piece = data.draw(st.sampled_from(["", *WORDS]))
    _check_whole(text[:at] + piece + text[at + cut :])
