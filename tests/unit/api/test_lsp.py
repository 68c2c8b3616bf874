"""The language server, asked over its pipes as an editor asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.lsp.server import LEGEND
from tests.support.lsp import Client, language_server

pytest.importorskip("pygls", reason="the language server is an extra: betrace[editor]")

RULE = "file:///rules/one.betrace"
YAML = "file:///rules/some%20rules.yaml"
RULES = """\
id: paid
rule: |
  when { "日本 🎌" && order }
  always { payment.where( }
tests:
  - name: paid
    trace:
      - {name: payment, service: shop, attributes: {amount: 5, currency: EUR}}
    expect: satisfied
"""


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with language_server() as found:
        yield found


def at(text: str, piece: str, shift: int = 0) -> dict[str, int]:
    """Return the position of a piece of a text; all before it in its line is in UTF-16 units."""
    offset = text.index(piece) + shift
    line = text.count("\n", 0, offset)
    before = text[text.rfind("\n", 0, offset) + 1 : offset]
    return {"line": line, "character": len(before.encode("utf-16-le")) // 2}


def asked(uri: str, position: dict[str, int]) -> dict[str, Any]:
    return {"textDocument": {"uri": uri}, "position": position}


def test_problems_of_a_rule_file_are_told_and_told_anew(client: Client) -> None:
    text = "when { a }\nalways { b.where(x = 1) }\n"
    [found] = client.open(RULE, text)
    assert found == {
        "range": {"start": at(text, "= 1"), "end": at(text, " 1")},
        "message": "`=` does not compare\nwrite `==`",
        "severity": 1,
        "code": "rule.single_equals",
        "source": "betrace",
    }
    change = {"range": found["range"], "text": "=="}
    document = {"uri": RULE, "version": 2}
    client.tell("textDocument/didChange", {"textDocument": document, "contentChanges": [change]})
    assert client.diagnostics() == []
    client.tell("textDocument/didClose", {"textDocument": {"uri": RULE}})
    assert client.diagnostics() == []


def test_problems_in_a_block_of_yaml_stand_at_their_place_in_utf_16(client: Client) -> None:
    first, second = client.open(YAML, RULES)
    assert (first["code"], first["range"]) == (
        "rule.ampersands",
        {"start": at(RULES, "&&"), "end": at(RULES, " order")},
    )
    assert second["code"] == "rule.expected_key"
    assert second["range"]["start"] == at(RULES, "}\ntests")


def test_a_client_that_counts_characters_is_answered_in_characters() -> None:
    with language_server(encodings=("utf-32",)) as client:
        first, _ = client.open(YAML, RULES)
        assert first["range"]["start"] == {"line": 2, "character": 16}


def test_a_mistake_is_put_right_where_the_cursor_stands(client: Client) -> None:
    [found, _] = client.open(YAML, RULES)
    there = {"textDocument": {"uri": YAML}, "range": found["range"], "context": {"diagnostics": []}}
    assert client.ask("textDocument/codeAction", there) == [
        {
            "title": "Write and",
            "kind": "quickfix",
            "diagnostics": [found],
            "isPreferred": True,
            "edit": {"changes": {YAML: [{"range": found["range"], "newText": "and"}]}},
        }
    ]
    elsewhere = {**there, "range": {"start": at(RULES, "id"), "end": at(RULES, "id", 1)}}
    assert client.ask("textDocument/codeAction", elsewhere) == []


def test_completion_offers_what_the_tests_of_the_file_hold(client: Client) -> None:
    client.open(YAML, RULES)
    there = asked(YAML, at(RULES, "where( }", len("where(")))
    offered = client.ask("textDocument/completion", there)["items"]
    assert [one["label"] for one in offered[:3]] == ["amount", "currency", "name"]
    assert offered[0]["textEdit"] == {
        "range": {"start": there["position"], "end": there["position"]},
        "newText": "amount",
    }
    outside = asked(YAML, at(RULES, "id: paid"))
    assert client.ask("textDocument/completion", outside)["items"] == []


def test_a_clause_is_offered_with_the_cursor_between_its_braces(client: Client) -> None:
    client.open(RULE, "wh")
    there = asked(RULE, {"line": 0, "character": 2})
    [offer] = client.ask("textDocument/completion", there)["items"]
    assert (offer["label"], offer["insertTextFormat"], offer["textEdit"]["newText"]) == (
        "when",
        2,
        "when { $0 \\}",
    )


def test_hovering_tells_what_a_word_means(client: Client) -> None:
    client.open(YAML, RULES)
    found = client.ask("textDocument/hover", asked(YAML, at(RULES, "payment.where", 2)))
    assert found["contents"] == {
        "kind": "markdown",
        "value": "The span `payment` was seen once.\n\nAttributes: `amount`, `currency`",
    }
    assert found["range"] == {"start": at(RULES, "payment.w"), "end": at(RULES, ".where")}


def test_words_are_told_by_what_they_are(client: Client) -> None:
    text = 'id: a\nrule: |\n  when { a.where(\n    "x" == \U0001f600 and status == ok) }\n'
    client.open(YAML, text)
    told = client.ask("textDocument/semanticTokens/full", {"textDocument": {"uri": YAML}})
    data = [tuple(told["data"][i : i + 5]) for i in range(0, len(told["data"]), 5)]
    line, character, found = 0, 0, []
    for down, right, length, kind, _ in data:
        line, character = line + down, right + (0 if down else character)
        found.append((line, character, length, LEGEND.token_types[kind]))
    assert found == [
        (2, 2, 4, "macro"),
        (2, 9, 1, "class"),
        (2, 11, 5, "keyword"),
        (3, 4, 3, "property"),
        (3, 8, 2, "operator"),
        (3, 14, 3, "keyword"),
        (3, 18, 6, "modifier"),
        (3, 25, 2, "operator"),
        (3, 28, 2, "enumMember"),
    ]


def test_formatting_lays_out_the_blocks_of_a_file(client: Client) -> None:
    text = "id: a   # mine\nrule: |\n  when{a}never{b}\n"
    client.open(YAML, text)
    options = {"tabSize": 2, "insertSpaces": True}
    params = {"textDocument": {"uri": YAML}, "options": options}
    assert client.ask("textDocument/formatting", params) == [
        {
            "range": {"start": {"line": 0, "character": 0}, "end": {"line": 3, "character": 0}},
            "newText": "id: a   # mine\nrule: |\n  when  { a }\n  never { b }\n",
        }
    ]


def test_yaml_of_something_else_is_left_in_peace(client: Client) -> None:
    assert client.open("file:///k8s.yaml", "apiVersion: v1\nkind: Pod\nspec: {a: [1]}\n") == []


def test_names_are_learned_from_traces(tmp_path: Path) -> None:
    traces = tmp_path / "t.yaml"
    traces.write_text("- {name: payment.charge, attributes: {amount: 5}}\n")
    with language_server("--traces", str(traces)) as client:
        text = "when { payment.chrge } never { b }"
        found = client.open(RULE, text)
        assert [one["code"] for one in found] == ["rule.unseen_name", "rule.unseen_name"]
        there = {"textDocument": {"uri": RULE}, "range": found[0]["range"],
                 "context": {"diagnostics": []}}  # fmt: skip
        [action] = client.ask("textDocument/codeAction", there)
        assert action["title"] == "Write payment.charge"
