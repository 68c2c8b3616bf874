"""A rule out of picked spans, and its two tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl import Span
from dsl.documents import read_document
from dsl.drafting import Draft, Pick, Shape, draft_rule
from dsl.objects import parse_rules
from dsl.suites import arrivals_of, run
from dsl.writing import written_tests

CHECKOUT: list[dict[str, Any]] = [
    {"name": "POST /checkout", "id": "r", "service": "shop", "duration": "412ms"},
    {"name": "payment.authorize", "id": "a", "parent": "r", "start": "48ms", "duration": "300ms"},
    {
        "name": "fraud.check",
        "id": "f",
        "parent": "a",
        "start": "60ms",
        "duration": "71ms",
        "attributes": {"skipped": True, "note": "x" * 300},
    },
    {
        "name": "payment.charge",
        "id": "c",
        "parent": "a",
        "start": "140ms",
        "attributes": {"amount": 2400, "currency": "USD", "status": 200},
        "resource": {"k8s.pod": "p-1"},
    },
    {"name": "db.query", "id": "q", "parent": "c", "start": "150ms", "status": "error"},
    {"name": "db.query", "id": "p", "parent": "c", "start": "160ms"},
    {"name": "log", "id": "l", "parent": "a", "start": "160ms"},
]


def spans_of(entries: Sequence[dict[str, Any]]) -> list[Span]:
    return [arrival.span for arrival in arrivals_of([*entries], None)[0]]


def drafted(picks: dict[str, tuple[str, ...]], shape: Shape) -> Draft | str:
    """Draft a rule about spans of the checkout, by their labels, and the keys of each."""
    trace = spans_of(CHECKOUT)
    by_label = {span.label: span for span in trace}
    return draft_rule(trace, [Pick(by_label[label], keys) for label, keys in picks.items()], shape)


@pytest.mark.parametrize(
    ("picks", "shape", "text"),
    [
        (
            {"c": ("amount",), "f": ("skipped",)},
            Shape.TOGETHER,
            "when   { fraud.check.where(skipped == true) }\n"
            "always { payment.charge.where(amount == 2400) }\n",
        ),
        (
            {"f": ("note",), "c": ("currency", "k8s.pod"), "q": ("status",)},
            Shape.IN_ORDER,
            "when   { fraud.check.where(note exists) as first }\n"
            'always { payment.charge.where(currency == "USD" and resource.k8s.pod == "p-1") after '
            "first as second\n"
            '         and db.query.where(status == "error") after second }\n',
        ),
        (
            {"c": ("status",), "q": ()},
            Shape.NEVER,
            'when  { payment.charge.where("status" == 200) }\nnever { db.query }\n',
        ),
        ({"c": ()}, Shape.TOGETHER, 'when   { "POST /checkout" }\nalways { payment.charge }\n'),
        (
            {"q": (), "p": ()},
            Shape.TOGETHER,
            'when   { "POST /checkout" }\nalways { count(db.query) >= 2 }\n',
        ),
        (
            {"c": (), "q": (), "p": ()},
            Shape.TOGETHER,
            "when   { payment.charge }\nalways { count(db.query) >= 2 }\n",
        ),
    ],
)
def test_picked_spans_become_a_promise(
    picks: dict[str, tuple[str, ...]], shape: Shape, text: str
) -> None:
    draft = drafted(picks, shape)
    assert isinstance(draft, Draft), draft
    assert (draft.text, draft.shape) == (text, shape)


def test_its_tests_hold_only_what_the_rule_asks_for() -> None:
    draft = drafted({"r": (), "f": ("note",), "c": ("amount", "k8s.pod")}, Shape.TOGETHER)
    assert isinstance(draft, Draft)
    assert written_tests([test.to_dict() for test in draft.tests]) == (
        "- name: all of it happens\n"
        "  trace:\n"
        "    - {name: POST /checkout, id: s1, service: shop, duration: 412ms}\n"
        "    - {name: fraud.check, id: s2, parent: s1, start: 60ms, duration: 71ms, "
        'attributes: {note: "…"}}\n'
        "    - {name: payment.charge, id: s3, parent: s1, start: 140ms, duration: 1ms, "
        "attributes: {amount: 2400}, resource: {k8s.pod: p-1}}\n"
        "  expect: satisfied\n"
        "- name: payment.charge is missing\n"
        "  trace:\n"
        "    - {name: POST /checkout, id: s1, service: shop, duration: 412ms}\n"
        "    - {name: fraud.check, id: s2, parent: s1, start: 60ms, duration: 71ms, "
        'attributes: {note: "…"}}\n'
        "  expect: violated\n"
    )


def test_what_starts_together_has_no_order_and_is_asked_for_all_the_same() -> None:
    draft = drafted({"p": (), "l": ()}, Shape.IN_ORDER)
    assert isinstance(draft, Draft)
    assert draft.shape is Shape.TOGETHER


@pytest.mark.parametrize(
    ("picks", "shape", "reason"),
    [
        ({}, Shape.TOGETHER, "Pick at least one span."),
        ({"r": ()}, Shape.TOGETHER, "Pick a second span"),
        ({"r": (), "q": ()}, Shape.NEVER, ""),
    ],
)
def test_what_cannot_be_promised_is_said(
    picks: dict[str, tuple[str, ...]], shape: Shape, reason: str
) -> None:
    draft = drafted(picks, shape)
    assert draft.startswith(reason) if isinstance(draft, str) else not reason


@st.composite
def traces(draw: st.DrawFn) -> tuple[list[Span], list[Pick], Shape]:
    """A trace with hostile names and values, some of its spans, and a shape."""
    names = st.sampled_from(["a", "a.b", "first", "where", 'GET "x"', "not", "trace.spans", "ü\\"])
    keys = ["k", "status", "first.x", "span.y", 'odd "key"', "service"]
    values = st.one_of(
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
        st.text(max_size=300),
        st.just([1]),
    )
    entries: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 6))):
        entry: dict[str, Any] = {
            "name": draw(names),
            "id": f"i{number}",
            "start": draw(st.integers(0, 3)),
            "attributes": draw(st.dictionaries(st.sampled_from(keys), values, max_size=3)),
        }
        if number:
            entry["parent"] = f"i{draw(st.integers(0, number - 1))}"
        entries.append(entry)
    trace = spans_of(entries)
    picked = draw(st.lists(st.sampled_from(trace), unique_by=id, max_size=5))
    some = st.lists(st.sampled_from([*keys, "kind"]), unique=True, max_size=3)
    return trace, [Pick(span, tuple(draw(some))) for span in picked], draw(st.sampled_from(Shape))


@given(traces())
def test_every_draft_checks_and_passes_its_tests_as_they_are_written(
    case: tuple[list[Span], list[Pick], Shape],
) -> None:
    draft = draft_rule(*case)
    if isinstance(draft, str):
        return
    written = written_tests([test.to_dict() for test in draft.tests])
    read = read_document(written, filename="tests.yaml")
    assert read.problems == []
    document = parse_rules(read_and_written(draft.text, read.values[0]), filename="rule.yaml")
    assert document.problems == ()
    assert [test.passed for test in run(document).tests] == [True, True]


def read_and_written(text: str, tests: list[Any]) -> str:
    indented = "".join(f"  {line}\n" for line in text.splitlines())
    listed = "".join(f"  {line}\n" for line in written_tests(tests).splitlines())
    return f"id: drafted\nrule: |\n{indented}tests:\n{listed}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=3))
def test_tests_are_read_as_they_were_written(tests: list[dict[str, Any]]) -> None:
    read = read_document(written_tests(tests), filename="tests.yaml")
    assert read.problems == []
    assert read.values == ([tests] if tests else [])
