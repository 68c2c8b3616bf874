"""What rules are to each other: fields of signals, cycles, levels, names that are not there."""

from __future__ import annotations

import pytest

from dsl import check
from dsl.many.rule_set import check_rule_set, check_together, fields_among, signal_fields
from dsl.objects import parse_rules

PROMISE = "when { a } always { b }"


def over(*rules: str) -> str:
    sources = " or ".join(f'violated("{rule}")' for rule in rules)
    return f"correlate {{ {sources} }} by rule within 10m having count > 1"


def problems_of(**texts: str) -> dict[str, list[str]]:
    rules = {name: rule for name, text in texts.items() if (rule := check(text).rule) is not None}
    assert len(rules) == len(texts)
    found = check_rule_set(rules)
    return {
        name: [f"{one.code} {one.line}:{one.column}-{one.end_column}" for one in problems]
        for name, problems in found.problems.items()
    }


def test_three_levels_are_as_deep_as_rules_stand() -> None:
    assert problems_of(p=PROMISE, q=over("p"), r=over("q")) == {}


def test_a_fourth_level_is_refused_where_it_is_named() -> None:
    found = problems_of(p=PROMISE, q=over("p"), r=over("q"), s=over("p", "r"))
    assert found == {"s": ["rule.levels 1:30-43"]}


def test_a_rule_over_spans_is_a_level_like_a_promise() -> None:
    spans = "correlate { a } by k within 1m having count > 1"
    assert problems_of(p=spans, q=over("p"), r=over("q")) == {}


def test_a_rule_does_not_wait_for_itself() -> None:
    assert problems_of(q=over("q")) == {"q": ["rule.cycle 1:13-26"]}


def test_every_rule_of_a_circle_is_refused_and_none_beside_it() -> None:
    found = problems_of(p=PROMISE, q=over("p", "s"), r=over("q"), s=over("r"), t=over("q"))
    assert found == {
        "q": ["rule.cycle 1:30-43"],
        "r": ["rule.cycle 1:13-26"],
        "s": ["rule.cycle 1:13-26"],
    }


def test_a_circle_is_told_by_its_way_back() -> None:
    rules = {name: check(text).rule for name, text in {"q": over("r"), "r": over("q")}.items()}
    found = check_rule_set({name: rule for name, rule in rules.items() if rule is not None})
    assert found.problems["q"][0].message == "`q` would wait for its own signals: q → r → q"


def test_a_rule_that_is_not_there_is_a_warning_with_the_nearest_name() -> None:
    rules = {"pii-audit": check(PROMISE).rule, "q": check(over("pii-adit")).rule}
    found = check_rule_set({name: rule for name, rule in rules.items() if rule is not None})
    assert found.problems == {}
    (warning,) = found.warnings["q"]
    assert (warning.code, warning.hint) == ("rule.unseen_rule", "did you mean `pii-audit`?")


def test_a_long_chain_is_no_trouble() -> None:
    texts = {"r0": PROMISE, **{f"r{i}": over(f"r{i - 1}") for i in range(1, 1500)}}
    rules = {name: rule for name, text in texts.items() if (rule := check(text).rule) is not None}
    assert len(check_rule_set(rules).problems) == 1497


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (PROMISE, ("user.id",)),
        (
            "correlate { a } by k, resource.region within 1m having count > 1",
            ("k", "resource.region"),
        ),
        ("expect { a } every 1h by service", ("service",)),
        ("expect { a } every 1h", ()),
    ],
)
def test_signals_have_the_fields_that_rules_group_by(text: str, fields: tuple[str, ...]) -> None:
    rule = check(text).rule
    assert rule is not None
    assert signal_fields(rule, ["user.id"]) == fields


def test_the_fields_of_rules_that_are_not_known_are_not_known() -> None:
    fields_of = fields_among({"p": (PROMISE, ["user.id"]), "broken": ("when {", [])})
    assert (fields_of("p"), fields_of("broken"), fields_of("other")) == (("user.id",), None, None)


@pytest.mark.parametrize(
    ("keys", "having", "refused"),
    [
        ("user.id, rule, service", "count > 1", []),
        ("customer", "count > 1", ["customer"]),
        ("user.id", "sum(amount) > 1 and distinct(trace) > 1", ["amount"]),
        ("customer, customer.id", "avg(customer) > 1", ["customer", "customer.id", "customer"]),
    ],
)
def test_a_key_must_be_a_field_of_the_signals(keys: str, having: str, refused: list[str]) -> None:
    text = f'correlate {{ violated("p") or x }} by {keys} within 1m having {having}'
    checked = check(text, fields_of=lambda rule: ["user.id"] if rule == "p" else None)
    assert {one.code for one in checked.problems} <= {"rule.signal_key"}
    found = [text[one.column - 1 : one.end_column - 1] for one in checked.problems]
    assert found == refused
    assert check(text).problems == ()


def test_the_hint_says_which_fields_there_are() -> None:
    text = 'correlate { violated("p") } by customer within 1m having count > 1'
    (problem,) = check(text, fields_of=lambda _rule: ["user.id"]).problems
    assert problem.message == "signals of `p` have no `customer`"
    assert problem.hint == "they have rule service user.id: add it to the rule's `group_by`"


def test_rules_of_a_file_are_checked_together() -> None:
    document = parse_rules(
        f"""
- {{id: p, group_by: [user.id], rule: "{PROMISE}"}}
- id: q
  rule: 'correlate {{ violated("p") }} by customer within 1m having count > 1'
- {{id: r, rule: 'correlate {{ violated("r") }} by rule within 1m having count > 1'}}
- {{id: s, rule: 'correlate {{ violated("t") }} by rule within 1m having count > 1'}}
""",
        filename="rules.yaml",
    )
    found = {rule.id: checked for rule, checked in check_together(document.rules)}
    codes = {name: [one.code for one in checked.problems] for name, checked in found.items()}
    assert codes == {"p": [], "q": ["rule.signal_key"], "r": ["rule.cycle"], "s": []}
    assert [one.code for one in found["s"].warnings] == ["rule.unseen_rule"]
    assert found["r"].rule is None
