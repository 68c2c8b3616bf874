"""The grammar for editors says of every word what the lexer and the parser say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dsl.documents import read_document
from dsl.editor import grammar, yaml_injection
from dsl.editor.vocabulary import VOCABULARY
from dsl.lexer import NS_PER_UNIT, Token, tokenize
from dsl.nodes import Key, SpanTerm, parts_of
from dsl.parser import parse
from dsl.printer import INTRINSICS
from dsl.source import Source
from dsl.words import (
    AGGREGATES,
    CLAUSES,
    KINSHIP,
    OPERATOR_WORDS,
    SCOPES,
    SYMBOL_OPERATORS,
    TRACE_WORDS,
)
from tests.support.textmate import scopes_of

GOLDEN = Path(__file__).parents[3] / "golden" / "dsl"


def _texts() -> list[str]:
    found = []
    for name in ("canonical.yaml", "layout.yaml", "warnings.yaml"):
        document = read_document((GOLDEN / name).read_text(encoding="utf-8"), filename=name)
        found += [case["text"] for case in document.values[0]]
    return found


EXPECTED = {
    "string": "string",
    "number": "constant.numeric",
    "duration": "constant.numeric.duration",
    **dict.fromkeys(SYMBOL_OPERATORS, "keyword.operator.comparison"),
    **dict.fromkeys("+-*/", "keyword.operator.arithmetic"),
    **dict.fromkeys(".,", "punctuation.separator"),
    **dict.fromkeys("(){}[]", "punctuation.section"),
}


@pytest.mark.parametrize("text", _texts(), ids=lambda text: " ".join(text.split())[:60])
def test_every_token_has_the_colour_of_its_kind(text: str) -> None:
    scopes = scopes_of(grammar(), text)
    tokens = tokenize(Source(text))
    assert tokens is not None
    names = _named(text, tokens)
    for token in tokens[:-1]:
        found = scopes[token.start]
        if token.kind != "ident":
            assert found.startswith(EXPECTED[token.kind]), (token, found)
        elif names is not None and token.value not in (*VOCABULARY, "trace"):
            # What is no word of the language is a name, and the other way round.
            name = found.startswith(("variable", "entity"))
            assert name, (token, found)
        elif names is not None and token.start not in names:
            word = found.startswith(("keyword", "support", "constant", "entity.name.any"))
            assert word, (token, found)


def _named(text: str, tokens: list[Token]) -> set[int] | None:
    """Return where names of spans and keys stand, or None if the text does not parse."""
    source = Source(text)
    tree = parse(source, tokens)
    if tree is None or source.problems:
        return None
    found: set[int] = set()
    for clause in tree.clauses.values():
        for node in parts_of(clause.body):
            if isinstance(node, Key):
                found.update(range(node.at, node.end))
            elif isinstance(node, SpanTerm):
                name = re.compile(r"[\w.\s]*(?=\.where\b)|[\w.]*").match(text, node.at)
                assert name is not None
                found.update(range(node.at, name.end()))
            elif getattr(node, "word", False):
                found.update(range(node.at, node.end))
    return found


def test_a_text_over_several_lines_stays_a_text() -> None:
    text = 'when { a.where(x == "one // no comment\nand { } two" and y) }'
    scopes = scopes_of(grammar(), text)
    assert {scopes[i] for i in range(text.index('"'), text.rindex('"') + 1)} == {
        "string.quoted.double.betrace"
    }
    assert scopes[text.index("and y")] == "keyword.operator.logical.betrace"


def test_words_are_words_only_where_no_name_can_stand() -> None:
    text = "when { then.as.of and count.where(count > 1 and x.within == 3) then a before as }"
    scopes = scopes_of(grammar(), text)
    for name in ("as.of", "of ", "count.where", "count >", "within ==", "as }"):
        found = scopes[text.index(name)]
        assert found.startswith(("variable", "entity")), (name, found)
    for word in ("then a", "before as"):
        assert scopes[text.index(word)].startswith("keyword")


def test_every_word_of_the_tables_is_in_the_vocabulary() -> None:
    words = {
        *CLAUSES, *SYMBOL_OPERATORS, *OPERATOR_WORDS, *AGGREGATES, *KINSHIP, *SCOPES, *INTRINSICS,
        *(f"trace.{word}" for word in TRACE_WORDS),
    }  # fmt: skip
    assert words - VOCABULARY.keys() == set()


def test_every_word_of_the_tables_is_in_the_grammar() -> None:
    patterns = json.dumps(grammar())
    words = {*CLAUSES, *OPERATOR_WORDS, *AGGREGATES, *KINSHIP, *SCOPES, *INTRINSICS, *NS_PER_UNIT}
    assert [word for word in words if word not in patterns] == []


def test_patterns_are_ones_that_editors_read_too() -> None:
    # Oniguruma has no named groups in Python's spelling.
    def patterns(value: Any) -> list[str]:
        if isinstance(value, list):
            return [one for item in value for one in patterns(item)]
        if not isinstance(value, dict):
            return []
        own = [str(value[key]) for key in ("match", "begin", "end", "while") if key in value]
        return own + [one for item in value.values() for one in patterns(item)]

    for pattern in patterns([grammar(), yaml_injection()]):
        assert "(?P" not in pattern


def test_a_block_of_a_yaml_file_ends_where_its_indent_ends() -> None:
    [rule] = yaml_injection()["patterns"]
    begin = re.match(rule["begin"], "  - rule: |-")
    assert begin is not None
    following = rule["while"].replace(r"\1", begin[1])
    assert re.match(following, "    when { a }")
    assert re.match(following, "")
    assert not re.match(following, "  - id: next")
    assert re.match(rule["begin"], "  rules: |") is None
