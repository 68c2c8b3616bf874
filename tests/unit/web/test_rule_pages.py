"""Views of rules: templates, the list, the playground, differences."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

import dsl
from api.rules.listing import RuleHealth
from api.rules.model import Rule, RuleState
from api.rules.playground import OfSignal, OneTrace, Pasted, Recent
from api.rules.versions import Line, difference, lines_of
from api.web.views.playground import PlayDraft, what_on
from api.web.views.rule_list import RuleQuery, rule_list
from api.web.views.rule_templates import TEMPLATES
from api.web.views.rule_versions import difference_page
from dsl.objects import parse_rules
from dsl.suites import run

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def rule(rule_id: str, *, version: int = 1, state: str = "active", **fields: Any) -> Rule:
    """A version of a rule with these fields."""
    text = fields.pop("text", "when { a } never { b }")
    return Rule(
        id=rule_id,
        state=RuleState(state),
        version=version,
        deleted=False,
        object={"id": rule_id, "rule": text, "state": state, **fields},
        text=text,
        author="ada@example.com",
        acting="",
        created_at=NOW,
        updated_at=NOW,
        published_at=NOW,
    )


@pytest.mark.parametrize("key", TEMPLATES)
def test_every_template_checks_and_passes_its_tests(key: str) -> None:
    draft = TEMPLATES[key].draft
    text = "".join(f"  {line}\n" for line in draft.text.splitlines())
    tests = "".join(f"  {line}\n" for line in draft.tests.splitlines())
    document = parse_rules(f"id: {draft.id}\nrule: |\n{text}tests:\n{tests}", filename="t.yaml")
    assert document.problems == ()
    assert dsl.check(draft.text).problems == ()
    assert [(test.name, test.passed) for test in run(document).tests] == [
        (test.name, True) for test in document.tests
    ]
    assert len(document.tests) == 2


RULES = [
    rule("pay", name="Payments are checked", tags=["money", "pci"], severity="high"),
    rule(
        "log", name="Reads are logged", tags=["pci"], state="shadow", text="when { Log } never {x}"
    ),
    rule("old", name="An old one", state="off"),
]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (RuleQuery(), ["pay", "log", "old"]),
        (RuleQuery(q="PAYMENTS"), ["pay"]),
        (RuleQuery(q="when { log"), ["log"]),
        (RuleQuery(state="off"), ["old"]),
        (RuleQuery(severity="medium"), ["log", "old"]),
        (RuleQuery(tag=("pci",)), ["pay", "log"]),
        (RuleQuery(tag=("pci", "money")), ["pay"]),
        (RuleQuery(q="nothing"), []),
        (RuleQuery(state="nonsense", severity="nonsense"), ["pay", "log", "old"]),
    ],
)
def test_the_list_holds_what_is_looked_for(query: RuleQuery, ids: list[str]) -> None:
    page = rule_list(RULES, query, {}, now=NOW, may_write=True)
    assert [row.id for row in page.rows] == ids


def test_the_list_says_how_rules_are_doing_and_leads_to_their_tags() -> None:
    health = {
        "pay": RuleHealth(judged=1_200, violated=3, ended=8, false_positives=2, last_raised_at=NOW),
        "log": RuleHealth(judged=5, inconclusive=5, over_budget=4),
    }
    page = rule_list(RULES, RuleQuery(q="ed"), health, now=NOW, may_write=False)
    pay, log = page.rows
    assert (pay.judged, pay.verdicts, pay.false_positives) == (
        "1,200 judged", "3 violated", "25 % of 8",
    )  # fmt: skip
    assert (log.verdicts, log.warning, log.false_positives) == (
        "5 inconclusive", "4 over its budget", "",
    )  # fmt: skip
    assert [tag.href for tag in pay.tags] == ["/rules?q=ed&tag=money", "/rules?q=ed&tag=pci"]
    assert page.found == "2 of 3 rules"
    assert [act.value for act in page.acts] == ["export"]


def test_long_lists_are_paged_and_filters_stay() -> None:
    many = [rule(f"r{number:03}", tags=["t"]) for number in range(120)]
    page = rule_list(many, RuleQuery(tag=("t",), page=2), {}, now=NOW, may_write=True)
    assert [page.rows[0].id, page.rows[-1].id] == ["r050", "r099"]
    assert (page.newer_href, page.older_href) == ("/rules?tag=t", "/rules?tag=t&page=3")


@pytest.mark.parametrize(
    ("draft", "on"),
    [
        (PlayDraft(), Recent()),
        (PlayDraft(on="nonsense"), Recent()),
        (PlayDraft(on="pasted", pasted="[]"), Pasted("[]")),
        (PlayDraft(on="one", one="AB" * 16), OneTrace("ab" * 16)),
        (PlayDraft(on="one", one=f"https://x.example/traces/{'ab' * 16}#s"), OneTrace("ab" * 16)),
        (PlayDraft(on="one", one=f"/signals/{'ab' * 16}"), OfSignal("ab" * 16)),
    ],
)
def test_what_a_draft_is_tried_on_is_read_off_the_fields(draft: PlayDraft, on: object) -> None:
    assert what_on(draft) == on


def test_what_is_no_id_is_said() -> None:
    with pytest.raises(ValueError, match="32 hexadecimal digits"):
        what_on(PlayDraft(on="one", one="ab" * 17))


@pytest.mark.parametrize(
    ("was", "now", "lines"),
    [
        ("a\nb\n", "a\nb\n", [("a", "a"), ("b", "b")]),
        ("a\nb\n", "a\nc\nb\n", [("a", "a"), (None, "c"), ("b", "b")]),
        ("a\nb\nc", "a\nx\n", [("a", "a"), ("b", "x"), ("c", None)]),
        ("", "a", [(None, "a")]),
    ],
)
def test_texts_stand_side_by_side(
    was: str, now: str, lines: list[tuple[str | None, str | None]]
) -> None:
    assert list(lines_of(was, now)) == [Line(*pair) for pair in lines]


def test_an_earlier_version_can_be_brought_back_by_who_may_write() -> None:
    first = rule("pay", version=1, name="As it was", text="when { a }\nnever { b }\n")
    second = rule("pay", version=2, name="Changed", text="when { a }\nnever { c }\n")
    versions = [second, first]
    page = difference_page(difference(first, second), versions, may_write=True)
    assert [part.title for part in page.parts] == ["Promise", "Name"]
    assert [(row.kind, row.was_number, row.now_number) for row in page.parts[0].rows] == [
        ("same", 1, 1),
        ("changed", 2, 2),
    ]
    assert page.restore == 1
    reader = difference_page(difference(first, second), versions, may_write=False)
    same = difference_page(difference(second, second), versions, may_write=True)
    assert (reader.restore, same.restore, same.same, same.parts) == (0, 0, True, ())
