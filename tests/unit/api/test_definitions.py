"""Rules of every kind are read into what a version stores."""

from __future__ import annotations

import json

import pytest

from api.rules.definitions import (
    Form,
    read_definition,
    read_definitions,
    validate_object,
    validate_text,
)

CORRELATE = "correlate { login.failed } by user.id within 10m having count >= 5"
EXPECT = "expect { nightly.backup } every 24h"


@pytest.mark.parametrize(("text", "kind"), [(CORRELATE, "correlate"), (EXPECT, "expect")])
def test_a_rule_over_many_traces_is_read(text: str, kind: str) -> None:
    body = json.dumps({"id": "r1", "rule": text})
    definition = read_definition(body, form=Form.JSON)
    assert (definition.compiled.kind, definition.compiled.language) == (kind, 1)
    assert validate_text(text).valid
    assert validate_object(body, form=Form.JSON).valid


def test_a_file_may_hold_all_kinds() -> None:
    text = f"- {{id: a, rule: 'when {{ a }} always {{ b }}'}}\n- id: b\n  rule: |\n    {EXPECT}\n"
    found = read_definitions(text, filename="rules.yaml")
    assert [one.compiled.kind for one in found] == ["promise", "expect"]


def test_what_is_wrong_with_its_text_is_said_first() -> None:
    (problem,) = validate_text("expect { a } evry 1h").problems
    assert problem["code"] == "rule.unknown_part"


def test_a_promise_is_saved_as_ever() -> None:
    text = "when { a } always { b }"
    assert validate_text(text).valid
    definition = read_definition(json.dumps({"id": "r1", "rule": text}), form=Form.JSON)
    assert definition.compiled.kind == "promise"
