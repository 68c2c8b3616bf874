"""Any text at all gives a rule or problems, never an exception."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl import check, check_filter, render
from dsl.documents import read_document
from dsl.objects import parse_rules
from dsl.suites import run
from tests.property.dsl.generate import rules

WORDS = [
    *("when", "always", "never", "and", "or", "not", "where", "in", "matches", "contains"),
    *("exists", "count", "attr", "any", "as", "then", "within", "before", "child", "of", "q"),
    *("trace", "spans", "duration", "event", "link", "resource", "status", "a", "b", "sum"),
    *("{", "}", "(", ")", "[", "]", ",", ".", "==", "!=", "<", "<=", ">", ">=", "=", "&&", "||"),
    *("!", "+", "-", "*", "/", '"x"', "'x'", '"', "5", "5s", "10MB", "1e999", "//", "#", ";"),
    *(".where(", "true", "false", "correlate {", "expect {", "\n", "\\", "é", "\ud800", "\0"),
]


def _check_whole(text: str) -> None:
    checked = check(text)
    assert (checked.rule is None) == bool(checked.problems)
    lines = text.split("\n")
    for problem in (*checked.problems, *checked.warnings):
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert (problem.line, problem.column) <= (problem.end_line, problem.end_column)
        assert "{" not in problem.code
        json.dumps(problem.to_dict())
    render(text, checked.problems)
    render(text, checked.warnings)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join))
def test_words_in_any_order(text: str) -> None:
    _check_whole(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=20).map("".join))
def test_words_without_blanks(text: str) -> None:
    _check_whole("when {" + text + "} always { a }")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_characters(text: str) -> None:
    _check_whole(text)
    check_filter(text)


@settings(max_examples=400, deadline=None)
@given(rules(), st.data())
def test_a_rule_with_one_piece_cut_or_put_in(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 5))
    piece = data.draw(st.sampled_from(["", *WORDS]))
    _check_whole(text[:at] + piece + text[at + cut :])


@pytest.mark.parametrize(
    "text",
    [
        "when { " + "(" * 60_000,
        "when { " + "not " * 16_000,
        "when { " + "- " * 30_000,
        "when { " + "a or " * 13_000 + "a } never { b }",
        "when { " + "a.b." * 16_000,
        "when { " + "1+" * 30_000 + "1 > 2 } never { b }",
        "when { " + "9" * 65_000 + " > 1 } never { b }",
        "when { a.where(b == 1e" + "9" * 60_000 + ") } never { b }",
        'when { a.where(b matches "' + "\\pL" * 300 + '") } never { b }',
        "when { " + 'a.where(b matches "[\\pL\\pN]+x") and ' * 1_500 + "c } never { b }",
        "'" * 65_000,
        '"' * 65_001,
        '\\"\n' * 20_000,
        "&& " * 20_000,
        "when { a } " * 5_000,
        "{" * 60_000,
        "}" * 60_000,
        "[" * 60_000,
        "when { a.where(b in [" + "1," * 30_000 + "]) } never { b }",
        "when { " + "a and (b or " * 90 + "c" + ")" * 90 + " } never { b }",
        "when { a.where(" + "(" * 98 + "b" + ")" * 98 + ") } never { b }",
        "when { " + "not (" * 49 + "b" + ")" * 49 + " } never { b }",
        "when { " + " ".join(f"a{i}" for i in range(9_000)) + " }",
        "when { x." + "y" * 60_000 + " } never { b }",
    ],
    ids=lambda text: f"{text[7:20]}…",
)
def test_hostile_texts(text: str) -> None:
    _check_whole(text)


YAML_PIECES = (
    *("id", "rule", "tests", "rules", "trace", "expect", ":", "-", "{", "}", "[", "]"),
    *("\n", "\n  ", "\n- ", " ", "&a", "*a", "|", ">", '"', "'", "!!python/name:os.x"),
    *("when { a } never { b }", "satisfied", "off", "1", "null", ",", "---\n", "\t"),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(YAML_PIECES),
        max_size=25,
    ).map("".join)
)
def test_any_yaml_gives_rules_or_problems(text: str) -> None:
    document = parse_rules(text, filename="rules.yaml")
    run(document)
    parse_rules(text, filename="rules.json")


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "{a: " * 10_000, "- " * 5_000, "a: &x [1]\nb: *x", "\ud800", "a: \0"],
    ids=["lists", "maps", "dashes", "alias", "surrogate", "nul"],
)
@pytest.mark.parametrize("filename", ["r.yaml", "r.json"])
def test_hostile_documents_are_problems(text: str, filename: str) -> None:
    document = read_document(text, filename=filename)
    assert [problem.code.partition(".")[0] for problem in document.problems] == ["object"]
