"""Mistakes whose hint says what to write are put right as it says."""

from __future__ import annotations

import pytest

from dsl import check
from dsl.editor import fix_of
from dsl.first import differences
from tests.unit.dsl.editor.seen import SEEN


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("when { a && b } never { c }", "when { a and b } never { c }"),
        ("when { a&&b } never { c }", "when { a and b } never { c }"),
        ("when { a || b } never { c }", "when { a or b } never { c }"),
        ("when { !a } never { c }", "when { not a } never { c }"),
        ("when { a.where(x = 1) } never { c }", "when { a.where(x == 1) } never { c }"),
        ("when { a.where(x === 1) } never { c }", "when { a.where(x == 1) } never { c }"),
        ("when { a.where(x <> 1) } never { c }", "when { a.where(x != 1) } never { c }"),
        ("when { a AND b } never { c }", "when { a and b } never { c }"),
        ("when { a.where(x == 'b c') } never { c }", 'when { a.where(x == "b c") } never { c }'),
        ("when { a.where(5 < x) } never { c }", "when { a.where(x > 5) } never { c }"),
        ("when { trace.has(a) } never { c }", "when { a } never { c }"),
        ("when { a; } never { c }", "when { a } never { c }"),
        ("when { contains.x } never { c }", 'when { "contains".x } never { c }'),
        ("wen { a } never { c }", "when { a } never { c }"),
        ("when { a.where(x lik y) } never { c }", None),
        ("when { a.where(x contians y) } never { c }",
         "when { a.where(x contains y) } never { c }"),
        ("when { a.where(kind == servr) } never { c }",
         "when { a.where(kind == server) } never { c }"),
        ("when { cuont(a) > 1 } never { c }", "when { count(a) > 1 } never { c }"),
        ("when { payment.chrge.where(x) } never { c }",
         "when { payment.charge.where(x) } never { c }"),
        ('when { "payment.chrge" } never { c }', 'when { "payment.charge" } never { c }'),
        ('when { "GET /user/{id}" } never { c }', 'when { "GET /users/{id}" } never { c }'),
        ("when { a.where(amuont > 5) } never { c }", "when { a.where(amount > 5) } never { c }"),
        ("when { a.where('say \"x\"') } never { c }", None),
        ("when { payment.charge.settled } never { c }",
         "when { payment.charge.where(settled) } never { c }"),
        ("when { a } never { c", None),
    ],
)  # fmt: skip
def test_a_mistake_is_put_right(text: str, fixed: str | None) -> None:
    checked = check(text, known=SEEN)
    fixes = [fix_of(problem, text) for problem in (*checked.problems, *checked.warnings)]
    results = [text[: fix.start] + fix.replacement + text[fix.end :] for fix in fixes if fix]
    assert (fixed in results) if fixed is not None else results == []


def test_what_the_first_betrace_understood_otherwise_can_be_kept() -> None:
    text = "when { a.where(x > limit and name == b) } never { c }"
    fixes = [fix_of(one, text) for one in differences(text)]
    assert [(fix.title, text[fix.start : fix.end]) for fix in fixes if fix] == [
        ('Write "limit"', "limit"),
        ("Write attr(name)", "name"),
    ]
