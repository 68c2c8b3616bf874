"""Rules over many traces check everywhere, and are not saved before the stream can judge them."""

from __future__ import annotations

import json

import pytest

from api.problems import ApiError
from api.rules.definitions import (
    Form,
    read_definition,
    read_definitions,
    validate_object,
    validate_text,
)

CORRELATE = "correlate { login.failed } by user.id within 10m having count >= 5"
EXPECT = "expect { nightly.backup } every 24h"


@pytest.mark.parametrize(("text", "end"), [(CORRELATE, 10), (EXPECT, 7)])
def test_a_rule_over_many_traces_is_not_valid_for_saving_yet(text: str, end: int) -> None:
    found = validate_text(text)
    assert not found.valid
    assert [(one["code"], one["column"], one["end_column"]) for one in found.problems] == [
        ("rule.not_yet", 1, end)
    ]


@pytest.mark.parametrize("text", [CORRELATE, EXPECT])
def test_saving_a_rule_over_many_traces_is_refused(text: str) -> None:
    body = json.dumps({"id": "r1", "rule": text})
    with pytest.raises(ApiError) as refused:
        read_definition(body, form=Form.JSON)
    assert (refused.value.status, refused.value.code) == (422, "rule.invalid")
    assert [one["code"] for one in refused.value.members["problems"]] == ["rule.not_yet"]
    assert not validate_object(body, form=Form.JSON).valid


def test_a_file_with_one_of_them_is_refused_at_its_place() -> None:
    text = f"- {{id: a, rule: 'when {{ a }} always {{ b }}'}}\n- id: b\n  rule: |\n    {EXPECT}\n"
    with pytest.raises(ApiError) as refused:
        read_definitions(text, filename="rules.yaml")
    (problem,) = refused.value.members["problems"]
    assert (problem["rule"], problem["code"], problem["line"]) == ("b", "rule.not_yet", 4)


def test_what_is_wrong_with_its_text_is_said_first() -> None:
    (problem,) = validate_text("expect { a } evry 1h").problems
    assert problem["code"] == "rule.unknown_part"


def test_a_promise_is_saved_as_ever() -> None:
    text = "when { a } always { b }"
    assert validate_text(text).valid
    definition = read_definition(json.dumps({"id": "r1", "rule": text}), form=Form.JSON)
    assert definition.compiled.kind == "promise"
