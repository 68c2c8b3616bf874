"""What other packages rely on: the shape of rules, predicates, judgements, explanations."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dsl import (
    GONE,
    MISSING,
    CompiledRule,
    Event,
    Judgement,
    KnownNames,
    Reason,
    Span,
    TraceFacts,
    Verdict,
    check,
    check_filter,
    explain,
    facts_of,
    judge_spans,
    render,
)

TEXT = (
    "when { payment.charge.where(amount > 1000 and currency == USD) }\n"
    "always { count(fraud.check) > 1 }\n"
    "never { any.where(service == legacy) }"
)


def rule_of(text: str) -> CompiledRule:
    checked = check(text)
    assert checked.problems == ()
    assert checked.rule is not None
    return checked.rule


def test_a_rule_says_what_it_needs() -> None:
    rule = rule_of(TEXT)
    assert [predicate.canonical for predicate in rule.predicates] == [
        'payment.charge.where(amount > 1000 and currency == "USD")',
        "fraud.check",
        'any.where(service == "legacy")',
    ]
    assert (rule.language, rule.counted, rule.triggers) == (1, frozenset({1}), frozenset({0}))
    assert (rule.needs_extent, rule.needs_root) == (False, False)
    wide = rule_of("when { trace.duration > 1s } never { trace.root.name == x or trace.spans > 5 }")
    assert (wide.needs_extent, wide.needs_root, wide.triggers) == (True, True, None)
    assert [predicate.canonical for predicate in wide.predicates] == ["any"]
    assert wide.counted == frozenset({0})


def test_a_predicate_says_what_an_index_may_use() -> None:
    first, second, third = rule_of(TEXT).predicates
    assert (first.name, second.name, third.name) == ("payment.charge", "fraud.check", None)
    assert (first.unfiltered, second.unfiltered, third.unfiltered) == (False, True, False)
    assert [(one.key, one.scope, one.equals) for one in first.necessary] == [
        ("amount", "", None),
        ("currency", "", "USD"),
    ]
    assert [(one.key, one.scope, one.equals) for one in third.necessary] == [
        ("service.name", "resource", "legacy")
    ]
    amount = first.necessary[0].test
    assert [amount(value) for value in (1001, "1e4", 1000, MISSING, GONE)] == [
        True,
        True,
        False,
        False,
        True,
    ]


def test_hashes_are_for_ever() -> None:
    predicates = rule_of("when { a } never { any.where(x == 1) }").predicates
    assert [(one.canonical, one.hash) for one in predicates] == [
        ("a", 4681665781835383343),
        ("any.where(x == 1)", 12960436906427947095),
    ]


def test_a_linked_rule_uses_the_numbers_it_is_given() -> None:
    linked = rule_of("when { a } always { b } never { c }").link([70, 3, 500])
    assert linked.bits_only
    seen = TraceFacts(true=1 << 70, maybe=0, complete=True)
    assert linked.judge(seen) == Judgement(Verdict.VIOLATED, (), "always", True)
    kept = TraceFacts(true=1 << 70 | 1 << 3, maybe=0, complete=True)
    assert linked.judge(kept) == Judgement(Verdict.SATISFIED)
    broken = TraceFacts(true=1 << 70 | 1 << 3 | 1 << 500, maybe=0, complete=False)
    assert linked.judge(broken) == Judgement(Verdict.VIOLATED, (), "never", False)
    assert linked.judge(TraceFacts(0, 0, True)) == Judgement(Verdict.NOT_APPLICABLE)
    assert not rule_of(TEXT).link([1, 2, 3]).bits_only
    with pytest.raises(ValueError, match="3 predicates, 1 numbers"):
        rule_of(TEXT).link([1])


@pytest.mark.parametrize(
    ("true", "maybe", "complete", "in_doubt", "reasons"),
    [
        (1, 2, True, frozenset(), (Reason.REDACTED,)),
        (1, 0, False, frozenset(), (Reason.STILL_OPEN,)),
        (1, 0, False, frozenset({Reason.NO_ROOT}), (Reason.NO_ROOT,)),
        (
            1,
            2,
            False,
            frozenset({Reason.SAMPLED, Reason.GAP}),
            (Reason.GAP, Reason.REDACTED, Reason.SAMPLED),
        ),
    ],
)
def test_an_inconclusive_judgement_has_every_reason(
    true: int,
    maybe: int,
    complete: bool,
    in_doubt: frozenset[Reason],
    reasons: tuple[Reason, ...],
) -> None:
    linked = rule_of("when { a } always { b.where(x == 1) }").link([0, 1])
    view = TraceFacts(true=true, maybe=maybe, complete=complete, in_doubt=in_doubt)
    assert linked.judge(view) == Judgement(Verdict.INCONCLUSIVE, reasons)


def test_an_open_trace_is_violated_only_by_what_no_span_can_undo() -> None:
    rule = rule_of("when { a } always { count(b) <= 2 } never { c }")
    spans = [Span(b"0", "a"), *(Span(bytes([i]), "b") for i in range(1, 4))]
    assert judge_spans(rule, spans, complete=False).verdict is Verdict.VIOLATED
    assert judge_spans(rule, spans[:3], complete=False).verdict is Verdict.INCONCLUSIVE
    assert judge_spans(rule, spans[:3]).verdict is Verdict.SATISFIED


def test_the_same_span_twice_counts_once_and_shared_ids_are_two_spans() -> None:
    rule = rule_of("when { count(a) == 1 } never { a }")
    span = Span(b"1", "a")
    assert judge_spans(rule, [span, span]).verdict is Verdict.VIOLATED
    shared = Span(b"1", "a", kind="server")
    assert judge_spans(rule, [span, shared]).verdict is Verdict.NOT_APPLICABLE
    differing = Span(b"1", "a", attributes={"x": 1})
    first = rule_of("when { a.where(x == 1) } never { a }")
    assert judge_spans(first, [span, differing]).verdict is Verdict.NOT_APPLICABLE


def test_an_explanation_names_spans_values_and_the_nearest_miss() -> None:
    rule = rule_of("when { a.where(n > 1) }\nalways { b.where(ok and score < 5) }")
    spans = [
        Span(b"\x01", "a", attributes={"n": 2}),
        Span(b"\x02", "b", attributes={"score": 7}, start_ns=5),
        Span(b"\x03", "b", attributes={"score": 3}, start_ns=9, events=(Event("e"),)),
    ]
    assert explain(rule, spans).to_dict() == {
        "verdict": "violated",
        "broken": "always",
        "reasons": [],
        "clauses": [
            {
                "clause": "when",
                "state": "true",
                "text": "a.where(n > 1)",
                "conditions": [
                    {
                        "text": "a.where(n > 1)",
                        "line": 1,
                        "column": 8,
                        "state": "true",
                        "spans": [{"span_id": "01", "name": "a", "values": {"n": 2}}],
                        "total": 1,
                        "measured": {},
                        "nearest_miss": None,
                    }
                ],
            },
            {
                "clause": "always",
                "state": "false",
                "text": "b.where(ok and score < 5)",
                "conditions": [
                    {
                        "text": "b.where(ok and score < 5)",
                        "line": 2,
                        "column": 10,
                        "state": "false",
                        "spans": [],
                        "total": 0,
                        "measured": {},
                        "nearest_miss": {
                            "span_id": "03",
                            "name": "b",
                            "met": 1,
                            "failed": ["ok == true (ok is missing)"],
                        },
                    }
                ],
            },
        ],
        "bindings": [],
        "violated": [],
        "violated_total": 0,
    }


def test_known_names_give_warnings_with_a_guess() -> None:
    known = KnownNames(
        frozenset({"payment.charge", "customer"}),
        {"amount": frozenset({"number"}), "is_new": frozenset({"boolean"})},
    )
    text = "when { payment.chrage.where(amuont > 1) } never { customer.is_new }"
    found = [(one.code, one.hint) for one in check(text, known=known).warnings]
    assert found == [
        ("rule.unseen_name", "did you mean `payment.charge`?"),
        ("rule.unseen_attribute", "did you mean `amount`?"),
        ("rule.boolean_attribute", "write `customer.where(is_new)`"),
    ]
    assert check(text, known=KnownNames()).warnings == ()


def test_a_filter_alone_checks() -> None:
    assert check_filter("service == staging-crm").problems == ()
    assert [one.code for one in check_filter("service = crm").problems] == ["rule.single_equals"]
    assert [one.code for one in check_filter("").problems] == ["rule.expected_key"]


def test_problems_are_rendered_with_a_caret_under_tabs_too() -> None:
    text = "when { a }\nalways {\tx.where(b = 1) }"
    assert render(text, check(text).problems[:1], name="rules/x") == (
        "rules/x:2:20: `=` does not compare [rule.single_equals]\n"
        "  2 | always {    x.where(b = 1) }\n"
        "    |                       ^\n"
        "    = write `==`"
    )


@pytest.mark.parametrize(
    ("text", "ok"),
    [
        ("when { a } never { b } //" + "x" * (65_536 - 25), True),
        ("when { a } never { b } //" + "x" * (65_536 - 24), False),
        ("when { " + "(" * 100 + "a" + ")" * 100 + " } never { b }", True),
        ("when { " + "(" * 101 + "a" + ")" * 101 + " } never { b }", False),
        ('when { a.where(x == "' + "y" * 10_000 + '") } never { b }', True),
        ('when { a.where(x == "' + "y" * 10_001 + '") } never { b }', False),
        ("when { " + "y" * 10_000 + " } never { b }", True),
        ("when { " + "y" * 10_001 + " } never { b }", False),
        ("when { a.where(x in [" + "1," * 999 + "1]) } never { b }", True),
        ("when { a.where(x in [" + "1," * 1000 + "1]) } never { b }", False),
        ('when { a.where(x matches "' + "y" * 1_000 + '") } never { b }', True),
        ('when { a.where(x matches "' + "y" * 1_001 + '") } never { b }', False),
    ],
    ids=lambda value: str(value)[:30],
)
def test_limits_are_what_the_manual_says(text: str, ok: bool) -> None:
    assert (check(text).rule is not None) is ok


def test_importing_the_language_is_light() -> None:
    script = (
        "import sys, dsl; "
        "heavy = {'pyflink', 'pydantic', 'yaml', 'google', 'numpy', 'typer'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_facts_of_a_trace_are_bits_and_counts() -> None:
    rule = rule_of("when { a.where(x == 1) } never { count(b) > 1 and trace.duration > 1s }")
    spans = [
        Span(b"1", "a", start_ns=5, end_ns=9, dropped_attributes_count=1),
        Span(b"2", "b", parent_span_id=b"1", start_ns=3, end_ns=7),
    ]
    facts = facts_of(rule, spans)
    assert (facts.true, facts.maybe, facts.extent_ns) == (0b10, 0b01, (3, 9))
    assert (facts.count(0), facts.count(1)) == ((0, 1), (1, 1))
    assert (facts.root_name, facts.root_service) == ("a", "")
