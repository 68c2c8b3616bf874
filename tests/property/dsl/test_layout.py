"""Laying out: the same words, comments and meaning, once and for all."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from dsl import check
from dsl.formatter import WIDTH, format_rule, laid_out
from dsl.lexer import tokenize
from dsl.source import Source
from tests.property.dsl.generate import rules

_GAP = re.compile(r'"(?:[^"\\]|\\.)*"|[ \n]+', re.DOTALL)
WORDS = [
    *("when {", "correlate {", "expect {", "} always {", "}", "by user.id", "having count >= 5"),
    *("and", "or", "not", "then", "within 5s", "every 24h", "as q", "child of q", "a", "b.or"),
    *("(", ")", "[", "]", ".where(", "count(", "sum(x of", "attr(", "==", "<", "in", "- 5", "-5"),
    *("eu-west-1", '"text"', '"two\nlines"', ",", "+", "*", "trace.spans-1", "\n\n", "// c\n"),
]


OTHERS = [
    "when { a.where(x == 1) as q and b child of q } always { c after q within 5s before q } "
    "never { any.where(kind == client and user.id == q.user.id) descendant of q or d during q }",
    "when { login as l then transfer.where(amount > 10) as t then logout within 30s } "
    "always { l.user.id == t.user.id and p95(duration of db.query child of l) < 200ms }",
    'correlate { violated("pii") or login.failed.where(x exists) } by user.id, tenant within 10m '
    "having count >= 5 and (distinct(trace) >= 3 or not sum(amount) > 10)",
    "expect { nightly.backup.where(status == ok) } every 24h by service in [billing, crm]",
]


def texts() -> st.SearchStrategy[str]:
    """Rules of every kind."""
    return st.one_of(rules(), st.sampled_from(OTHERS))


@st.composite
def commented(draw: st.DrawFn) -> str:
    """A rule with comments and line ends in some of its gaps."""
    text = draw(texts())
    numbers = iter(range(1_000))

    def filled(found: re.Match[str]) -> str:
        if found[0].startswith('"'):
            return found[0]
        comment = f" // {next(numbers)} a, (b\n"
        return draw(st.sampled_from([found[0], found[0], " ", "\n\n\n", comment, "\n" + comment]))

    return draw(st.sampled_from(["", "// top\n"])) + _GAP.sub(filled, text)


def _comments(text: str) -> list[str]:
    return re.findall(r"// \w+.*$", re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.S), re.M)


def _tokens(text: str) -> list[tuple[str, str]]:
    found = tokenize(Source(text))
    assert found is not None
    return [(token.kind, text[token.start : token.end]) for token in found]


@settings(max_examples=150, deadline=None)
@given(commented())
def test_a_rule_keeps_its_words_comments_and_meaning(text: str) -> None:
    formatted = laid_out(text)
    assert formatted is not None
    assert _tokens(formatted) == _tokens(text)
    assert _comments(formatted) == [comment.rstrip() for comment in _comments(text)]
    before, after = check(text), check(formatted)
    assert [one.code for one in before.problems] == [one.code for one in after.problems]
    if before.rule is not None and after.rule is not None:
        assert format_rule(text) == formatted
        assert before.rule.canonical == after.rule.canonical


@settings(max_examples=150, deadline=None)
@given(commented())
def test_laying_out_twice_changes_nothing(text: str) -> None:
    formatted = laid_out(text)
    assert formatted is not None
    assert laid_out(formatted) == formatted


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
def test_any_words_in_matching_brackets_are_kept(text: str) -> None:
    formatted = laid_out(text)
    if formatted is not None:
        assert _tokens(formatted) == _tokens(text)


@settings(max_examples=100, deadline=None)
@given(rules())
def test_lines_are_no_longer_than_they_must_be(text: str) -> None:
    formatted = format_rule(text)
    assert formatted is not None
    for line in formatted.split("\n"):
        # What cannot be broken any more: one comparison with what stands around it.
        assert len(line) <= WIDTH or not re.search(r" (and|or) ", line)
