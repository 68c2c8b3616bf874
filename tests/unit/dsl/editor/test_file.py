"""Help at a place of a file, where rule texts stand in blocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsl import Event, Span, check
from dsl.editor.file import Placed, completions, findings, hover_at
from dsl.editor.learned import known_from, spans_of_tests
from dsl.objects import parse_rules
from dsl.rule_texts import rule_text_at, rule_texts
from tests.unit.dsl.editor.seen import SEEN

FILE = """\
rules:
  - id: one
    rule: |
      when { a && b }
      never { payment.charge.where( > 5) }
    tests:
      - {name: wrong, rule: "when { a &&", trace: [], expect: rejected}
  - id: two
    rule: "when { x = 1 }"
  - id: three
    rule: |

"""


def test_what_is_wrong_stands_at_its_place_with_what_would_put_it_right() -> None:
    found = findings(FILE, filename="r.yaml", check=check)
    first = found[0]
    assert (first.problem.code, first.problem.line, first.problem.column, first.title) == (
        "rule.ampersands",
        4,
        16,
        "Write and",
    )
    assert first.fix == Placed("and", (4, 16), (4, 18))
    # In quotes, places are those of the whole text, and nothing is put in blindly.
    [quoted] = [one for one in found if one.problem.code == "rule.single_equals"]
    assert (quoted.problem.line, quoted.problem.column, quoted.fix) == (9, 11, None)
    # The text of a test may be wrong on purpose.
    assert all(one.problem.line != 7 for one in found)


def test_completion_and_hovering_work_while_the_file_is_broken() -> None:
    text = FILE + "    broken: ["
    offers = completions(text, filename="r.yaml", line=5, column=36, known=SEEN)
    assert [(one.value.insert, one.start, one.end) for one in offers[:2]] == [
        ("amount", (5, 36), (5, 36)),
        ("region", (5, 36), (5, 36)),
    ]
    told = hover_at(text, filename="r.yaml", line=5, column=20, known=SEEN)
    assert told is not None
    assert told.value.startswith("The span `payment.charge`")
    assert (told.start, told.end) == ((5, 15), (5, 29))


def test_an_empty_block_is_begun_where_the_cursor_stands() -> None:
    text = "id: a\nrule: |\n  \n"
    offers = completions(text, filename="r.yaml", line=3, column=3, known=None)
    assert [(one.value.insert, one.start) for one in offers[:1]] == [("when {  }", (3, 3))]


@pytest.mark.parametrize(
    ("line", "column"), [(1, 1), (2, 8), (3, 12), (6, 3), (99, 1), (4, 2), (9, 20)]
)
def test_outside_of_rule_texts_there_is_no_help(line: int, column: int) -> None:
    assert completions(FILE, filename="r.yaml", line=line, column=column, known=SEEN) == []
    assert hover_at(FILE, filename="r.yaml", line=line, column=column, known=SEEN) is None


def test_a_rule_file_is_a_rule_text_as_a_whole() -> None:
    text = "when { a }\nnever { payment.re }\n"
    [offer, *_] = completions(text, filename="r.betrace", line=2, column=19, known=SEEN)
    assert (offer.value.insert, offer.start, offer.end) == ("payment.refund", (2, 9), (2, 19))


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("apiVersion: v1\nkind: [", []),
        ("apiVersion: v1\nkind: Pod\n", []),
        ("id: a\nrule: |\n  when { a }\nx: [", ["object.syntax"]),
        ("id: a\nrule: |\n  when { a } never { b }\nsevrity: high\n", ["object.unknown_field"]),
    ],
)
def test_only_files_of_rules_are_looked_at(text: str, codes: list[str]) -> None:
    found = findings(text, filename="x.yaml", check=check)
    assert [one.problem.code for one in found] == codes


def test_names_keys_types_and_values_are_learned_from_spans() -> None:
    spans = [
        Span(b"1", "a", attributes={"x": 5, "y": [1]}, resource={"service.name": "crm"}),
        Span(b"2", "a", attributes={"x": "z"}, events=(Event("e"),)),
        Span(b"3", "b", attributes={"x": 5, "long": "x" * 200}),
    ]
    known = known_from(spans)
    assert known.span_counts == {"a": 2, "b": 1}
    assert known.span_names == {"a", "b"}
    assert known.attributes == {
        "x": {"number", "text"},
        "y": {"array"},
        "long": {"text"},
        "service.name": {"text"},
    }
    assert known.attributes_of == {"a": {"x", "y"}, "b": {"x", "long"}}
    assert known.values == {
        "name": ("a", "b"),
        "service": ("crm",),
        "service.name": ("crm",),
        "x": ("5", "z"),
    }


def test_spans_of_tests_that_cannot_be_read_are_left_out() -> None:
    document = parse_rules(
        'id: a\nrule: "when { a } never { b }"\n'
        "tests:\n- {trace: [{name: a}, {name: b, colour: red}, 5], expect: satisfied}\n"
        "- {trace: file.json, expect: satisfied}\n",
        filename="r.yaml",
    )
    assert [span.name for span in spans_of_tests(document)] == ["a"]


def test_a_block_found_by_its_indent_is_the_one_that_yaml_reads() -> None:
    file = Path(__file__).parents[4] / "deploy" / "demo" / "rules.yaml"
    text = file.read_text()
    blocks = [one for one in rule_texts(text, filename=file.name) if one.place and one.place.block]
    for block in blocks:
        assert block.place is not None
        first = block.place.line + 1
        for line in range(first, first + block.lines()):
            found = rule_text_at(text, filename=file.name, line=line)
            assert found is not None
            assert found.place is not None
            assert found.text.rstrip("\n") == block.text.rstrip("\n")
            assert (found.place.line, found.place.indent) == (block.place.line, block.place.indent)
    assert len(blocks) > 3
