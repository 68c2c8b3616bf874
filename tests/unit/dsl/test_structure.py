"""Rules that look at spans one by one: what they need, windows, clocks, limits, combinations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsl import (
    CompiledRule,
    Judgement,
    Reason,
    Span,
    SpansAtHand,
    TraceFacts,
    Verdict,
    check,
    explain,
    facts_of,
    judge_spans,
)
from dsl.judging import Moment
from dsl.scene import MAX_COMBINATIONS
from dsl.spans import id_of
from dsl.structure import KeptSpan, Member

S = 1_000_000_000


def rule_of(text: str) -> CompiledRule:
    checked = check(text)
    assert checked.problems == ()
    assert checked.rule is not None
    return checked.rule


def span(name: str, span_id: str, **fields: object) -> Span:
    return Span.from_dict({"name": name, "id": span_id, **fields})


def verdict(rule: CompiledRule, spans: list[Span], moment: Moment) -> tuple[str, int | None]:
    judgement = judge_spans(rule, spans, moment=moment)
    return judgement.verdict.value, judgement.due_ns


# -- needs -----------------------------------------------------------------------------------------


def test_a_rule_says_which_spans_it_needs_one_by_one_and_what_it_reads_off_them() -> None:
    rule = rule_of(
        "when { db.query.where(pii) as q and login }\n"
        "always { audit.log.where(user.id == q.user.id or level > 3) after q within 5s }\n"
        "never { any.where(event.where(k == q.k)) descendant of q or sum(amount of pay) > 5 }"
    )
    assert [predicate.canonical for predicate in rule.predicates] == [
        "db.query.where(pii == true)",
        "login",
        "audit.log",
        "any",
        "pay",
    ]
    kept = [need.kept for need in rule.needs.predicates]
    assert kept == [True, False, True, True, True]
    captured = [
        [rule.captures[number].canonical for number in need.captures]
        for need in rule.needs.predicates
    ]
    assert captured == [
        ["read user.id", "read k"],
        [],
        ["read user.id", "test level > 3"],
        ["each event: k"],
        ["read amount"],
    ]
    needs = rule.needs
    assert (needs.structure, needs.links, needs.climbs, needs.orders) == (True, True, True, True)
    assert (needs.window_ns, needs.early, needs.extent, needs.root) == (5 * S, True, False, False)


@pytest.mark.parametrize(
    ("text", "early"),
    [
        ("when { a as q } always { b after q }", False),
        ("when { a as q } always { not b after q }", True),
        ("when { a as q } never { b after q }", True),
        ("when { not a } never { b }", False),
        ("when { a or not b } never { b then c }", True),
        ("when { trace.root.name == x } never { b }", False),
    ],
)
def test_a_rule_says_whether_it_may_be_violated_early(text: str, early: bool) -> None:
    assert rule_of(text).needs.early is early


def test_a_rule_without_new_constructs_needs_no_spans() -> None:
    needs = rule_of("when { count(a) > 2 } never { b.where(x == 1) }").needs
    assert (needs.structure, needs.links, needs.window_ns) == (False, False, 0)


def test_a_linked_rule_finds_predicates_and_captures_by_their_numbers_in_the_dictionary() -> None:
    rule = rule_of("when { a as q } never { b.where(x == q.x) child of q }")
    spans = [
        span("a", "a1", attributes={"x": 1}),
        span("b", "b1", parent="a1", attributes={"x": 1}),
    ]
    facts = facts_of(rule, spans)
    assert facts.structure is not None

    def moved(member: Member) -> Member:
        hashes = [capture.hash for capture in rule.captures]
        values = {70 + at: member.span.values[name] for at, name in enumerate(hashes)}
        return replace(member, span=replace(member.span, values=values))

    members = {
        number + 7: tuple(map(moved, kept)) for number, kept in facts.structure.members.items()
    }
    elsewhere = TraceFacts(
        true=facts.true << 7,
        maybe=0,
        complete=True,
        structure=replace(facts.structure, members=members, table=None),
    )
    numbers, captures = [7, 8], [70 + number for number in range(len(rule.captures))]
    assert rule.link(numbers, captures).judge(elsewhere) == judge_spans(rule, spans)


def test_judging_without_the_spans_that_a_rule_needs_is_an_error() -> None:
    rule = rule_of("when { a as q } never { b after q }")
    with pytest.raises(ValueError, match="one by one"):
        rule.link([0, 1]).judge(TraceFacts(true=3, maybe=0, complete=True))


# -- windows and clocks ----------------------------------------------------------------------------


def test_a_window_is_unknown_until_its_end_and_its_arrival_are_over_and_settled() -> None:
    rule = rule_of("when { a as q } always { b after q within 5s }")
    spans = [span("a", "a1", duration="1s")]
    arrived = {id_of("a1"): 3 * S}

    def at(seconds: int) -> tuple[str, int | None]:
        moment = Moment(now_ns=seconds * S, settle_ns=2 * S, arrived_ns=arrived)
        return verdict(rule, spans, moment)

    assert [at(5), at(9), at(10)] == [
        ("inconclusive", 10 * S),
        ("inconclusive", 10 * S),
        ("violated", None),
    ]


def test_a_met_window_is_not_waited_for() -> None:
    rule = rule_of("when { a as q } always { b after q within 5s }")
    spans = [span("a", "a1"), span("b", "b1", start="2s")]
    assert verdict(rule, spans, Moment(now_ns=3 * S)) == ("satisfied", None)


def test_a_violation_stands_while_the_window_of_another_combination_is_open() -> None:
    rule = rule_of("when { a as q } always { b after q within 5s }")
    spans = [span("a", "a1"), span("a", "a2", start="20s")]
    judgement = judge_spans(rule, spans, moment=Moment(now_ns=21 * S))
    assert (judgement.verdict, judgement.bindings_total) == (Verdict.VIOLATED, 1)
    assert judgement.due_ns == 25 * S + 1_000_000


def test_a_window_before_a_span_is_over_with_the_trace() -> None:
    rule = rule_of("when { a as q } always { b before q within 5s }")
    assert verdict(rule, [span("a", "a1")], Moment(now_ns=0)) == ("violated", None)


def test_a_sequence_waits_for_its_window_and_one_without_does_not() -> None:
    spans = [span("a", "a1"), span("t", "t1")]
    open_now = Moment(now_ns=S)
    waits = rule_of("when { t } always { a then b within 5s }")
    assert verdict(waits, spans, open_now) == ("inconclusive", 5 * S + 1_000_000)
    assert verdict(waits, spans, Moment(now_ns=6 * S)) == ("violated", None)
    assert verdict(rule_of("when { t } always { a then b }"), spans, open_now)[0] == "violated"
    assert verdict(waits, spans[1:], open_now) == ("violated", None)


def test_a_bound_step_may_come_until_the_window_is_over() -> None:
    rule = rule_of("when { a as p then b as q within 5s } always { c child of q }")
    spans = [span("a", "a1")]
    assert verdict(rule, spans, Moment(now_ns=S)) == ("inconclusive", 5 * S + 1_000_000)
    assert verdict(rule, spans, Moment(now_ns=6 * S)) == ("not_applicable", None)


@pytest.mark.parametrize(
    ("text", "same_service", "other_service"),
    [
        ("b after q", "satisfied", "inconclusive"),
        ("b before q", "violated", "inconclusive"),
        ("b after q within 1ms", "satisfied", "inconclusive"),
        ("b during q", "satisfied", "inconclusive"),
        ("b child of q", "violated", "violated"),
    ],
)
def test_smaller_differences_than_the_clock_skew_say_nothing_between_two_services(
    text: str, same_service: str, other_service: str
) -> None:
    rule = rule_of(f"when {{ a as q }} always {{ {text} }}")
    moment = Moment(clock_skew_ns=10_000_000)
    for service, expected in (("x", same_service), ("y", other_service)):
        spans = [
            span("a", "a1", service="x", duration="8ms"),
            span("b", "b1", service=service, start="5ms", duration="1ms"),
        ]
        judgement = judge_spans(rule, spans, moment=moment)
        assert judgement.verdict.value == expected
        assert judgement.reasons == ((Reason.SAME_TIME,) if expected == "inconclusive" else ())


def test_of_two_equal_starts_the_ancestor_is_first_whatever_the_clocks() -> None:
    rule = rule_of("when { a as q } always { b after q }")
    spans = [span("a", "a1", service="x"), span("b", "b1", parent="a1", service="y")]
    moment = Moment(clock_skew_ns=10_000_000)
    assert judge_spans(rule, spans, moment=moment).verdict is Verdict.SATISFIED


@pytest.mark.parametrize(("seconds", "codes"), [(5, []), (4, ["rule.window_too_long"])])
def test_a_window_is_no_longer_than_a_trace_of_the_tenant_lives(
    seconds: int, codes: list[str]
) -> None:
    text = "when { a as q } always { b after q within 5s }"
    found = check(text, max_life_ns=seconds * S).problems
    assert [problem.code for problem in found] == codes


# -- combinations and limits -----------------------------------------------------------------------


def test_a_judgement_lists_its_violated_combinations_in_order_and_counts_them_all() -> None:
    rule = rule_of("when { a as q } always { b child of q }")
    spans = [span("a", f"a{i:02}", start=f"{30 - i}s") for i in range(30)]
    judgement = judge_spans(rule, [*spans, span("b", "b1", parent="a07")])
    assert judgement.bindings_total == 29
    named = [one.span_id for combination in judgement.bindings for one in combination]
    latest_first = [id_of(f"a{i:02}") for i in range(29, -1, -1) if i != 7]
    assert named == latest_first[:20]
    assert {one.name for combination in judgement.bindings for one in combination} == {"q"}


def test_every_combination_of_two_bindings_is_judged_on_its_own() -> None:
    rule = rule_of("when { a as p and b as q } never { c.where(x == p.x and y == q.y) }")
    spans = [
        *(span("a", f"a{i}", attributes={"x": i}) for i in range(3)),
        *(span("b", f"b{i}", attributes={"y": i}) for i in range(3)),
        span("c", "c1", attributes={"x": 1, "y": 2}),
    ]
    judgement = judge_spans(rule, spans)
    pairs = [{one.name: one.span_id for one in combination} for combination in judgement.bindings]
    assert pairs == [{"p": id_of("a1"), "q": id_of("b2")}]


def _many(name: str, count: int) -> list[Span]:
    return [Span(f"{name}{i:05}".encode(), name, start_ns=i) for i in range(count)]


def test_over_the_cap_of_combinations_a_rule_is_inconclusive_and_a_violation_found_stands() -> None:
    spans = [*_many("a", 101), *_many("b", 101)]
    assert MAX_COMBINATIONS < 101 * 101
    kept = judge_spans(rule_of("when { a as p and b as q } never { c }"), spans)
    assert kept == Judgement(Verdict.INCONCLUSIVE, (Reason.BINDINGS,))
    broken = judge_spans(rule_of("when { a as p and b as q } always { c }"), spans)
    assert (broken.verdict, broken.bindings_total) == (Verdict.VIOLATED, MAX_COMBINATIONS)


def test_over_the_budget_of_steps_a_rule_is_inconclusive() -> None:
    rule = rule_of("when { a as q } never { count(b after q) > 5000 }")
    spans = [*_many("a", 1000), *_many("b", 1000)]
    assert judge_spans(rule, spans) == Judgement(Verdict.INCONCLUSIVE, (Reason.STEPS,))


def test_a_join_by_equality_is_not_quadratic() -> None:
    rule = rule_of("when { a as q } always { b.where(k == q.k) }")
    spans = [
        Span(f"{name}{i:05}".encode(), name, attributes={"k": f"k{i}"})
        for name in "ab"
        for i in range(3000)
    ]
    assert judge_spans(rule, spans).verdict is Verdict.SATISFIED


def test_the_order_of_arrival_changes_nothing() -> None:
    rule = rule_of("when { a as q and b.where(k == q.k) as r } always { c after r }")
    spans = [
        *(span("a", f"a{i}", start=f"{i}s", attributes={"k": i % 2}) for i in range(4)),
        *(span("b", f"b{i}", start=f"{i}s", attributes={"k": i % 2}) for i in range(4)),
        span("c", "c1", start="2s"),
    ]
    assert judge_spans(rule, spans) == judge_spans(rule, spans[::-1])
    assert judge_spans(rule, spans).bindings_total == 2


def test_kept_spans_of_one_id_are_told_apart_by_kind_and_name() -> None:
    rule = rule_of("when { a as q } never { any.where(k == q.k) child of q }")
    spans = [
        Span(b"1", "a", attributes={"k": 1}, kind="client"),
        Span(b"1", "b", parent_span_id=b"1", attributes={"k": 1}, kind="server"),
    ]
    kept = facts_of(rule, spans).structure
    assert kept is not None
    places = {member.span.place for member in kept.members[1]}
    assert len(places) == 2
    assert judge_spans(rule, spans).verdict is Verdict.VIOLATED
    assert isinstance(kept.members[0][0].span, KeptSpan)


# -- explanations ----------------------------------------------------------------------------------


def test_a_rule_with_bindings_is_explained_for_its_first_violated_combination() -> None:
    rule = rule_of(
        "when { db.query as q }\nalways { audit.log.where(user == q.user) after q within 5s }"
    )
    spans = [
        span("db.query", "q1", attributes={"user": "u1"}),
        span("audit.log", "l1", start="1s", attributes={"user": "u1"}),
        span("db.query", "q2", start="2s", attributes={"user": "u2"}),
        span("audit.log", "l2", start="9s", attributes={"user": "u2"}),
    ]
    told = explain(rule, spans).to_dict()
    q2 = id_of("q2").hex()
    assert told["bindings"] == [{"binding": "q", "span_id": q2, "name": "db.query", "label": "q2"}]
    assert told["violated"] == [[{"binding": "q", "span_id": q2}]]
    assert told["violated_total"] == 1
    when, always = told["clauses"]
    assert [one["label"] for one in when["conditions"][0]["spans"]] == ["q2"]
    assert always["state"] == "false"
    assert always["conditions"][0]["nearest_miss"] == {
        "span_id": id_of("l2").hex(),
        "name": "audit.log",
        "met": 1,
        "failed": [
            "after q within 5s (it starts 7s after q, a gap of 6999ms)",
        ],
        "label": "l2",
    }
    assert explain(rule, spans).render_text().split("\n")[:2] == [
        "violated",
        "  q is db.query (q2)",
    ]


def test_a_sequence_is_explained_by_the_spans_that_it_is_made_of() -> None:
    rule = rule_of("when { a then b } never { c }")
    spans = [span("b", "b0"), span("a", "a1", start="1s"), span("b", "b1", start="2s")]
    condition = explain(rule, spans).to_dict()["clauses"][0]["conditions"][0]
    assert [one["label"] for one in condition["spans"]] == ["a1", "b1"]


def test_a_measured_aggregate_shows_what_it_came_to_and_of_which_spans() -> None:
    rule = rule_of("when { t as q } never { sum(amount of pay child of q) > 5 }")
    spans = [
        span("t", "t1"),
        span("pay", "p1", parent="t1", attributes={"amount": 2}),
        span("pay", "p2", parent="t1", start="1s", attributes={"amount": "4.5"}),
        span("pay", "p3", attributes={"amount": 9}),
    ]
    condition = explain(rule, spans).to_dict()["clauses"][1]["conditions"][0]
    assert condition["measured"] == {"sum(amount of pay child of q)": [6.5, 6.5]}
    assert [(one["label"], one["values"]) for one in condition["spans"]] == [
        ("p1", {"amount": 2}),
        ("p2", {"amount": "4.5"}),
    ]


def test_a_bound_span_that_does_not_fulfil_its_filters_is_the_nearest_miss() -> None:
    rule = rule_of("when { a as q and b as p } always { q.where(x == 1 and y == 2 and z == p.z) }")
    spans = [span("a", "a1", attributes={"x": 1, "y": 3, "z": 4}), span("b", "b1")]
    condition = explain(rule, spans).to_dict()["clauses"][1]["conditions"][0]
    assert condition["nearest_miss"] == {
        "span_id": id_of("a1").hex(),
        "name": "a",
        "met": 1,
        "failed": ["y == 2 (y is 3)", "z == p.z (z is 4, p.z is missing)"],
        "label": "a1",
    }


def test_filters_of_a_bound_span_alone_are_explained_one_by_one() -> None:
    rule = rule_of("when { a as q } always { q.where(x == 1 and y == 2) }")
    condition = explain(rule, [span("a", "a1", attributes={"x": 1})]).to_dict()["clauses"][1]
    assert condition["conditions"][0]["nearest_miss"]["failed"] == ["y == 2 (y is missing)"]


# -- many rules ------------------------------------------------------------------------------------


def test_rules_that_share_the_spans_at_hand_judge_as_each_would_alone() -> None:
    texts = (
        "when { q as a } always { login ancestor of a }",
        "when { q as a } never { any descendant of a or count(any.where(n > 1)) > 1 }",
        "when { any.where(n > 1) as a } always { trace.root.name == login and trace.spans > 4 }",
        "when { any.where(name == q) as a } always { any.where(n > 1) child of a }",
    )
    spans = [
        span("login", "r"),
        span("q", "q1", parent="r", attributes={"n": 1}),
        span("x", "x1", parent="q1", attributes={"n": 2}),
        span("x", "x1", parent="q1", attributes={"n": 2}),
        span("q", "q2", parent="lost", attributes={"n": 3}),
    ]
    rules = [rule_of(text) for text in texts]
    at_hand = SpansAtHand(spans)
    shared = [judge_spans(rule, at_hand) for rule in rules]
    assert shared == [judge_spans(rule, spans) for rule in rules]
    assert {judgement.verdict for judgement in shared} == {Verdict.VIOLATED, Verdict.INCONCLUSIVE}
