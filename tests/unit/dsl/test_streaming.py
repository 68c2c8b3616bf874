"""What the stream cannot judge yet is refused where rules are saved for it, and only there."""

from __future__ import annotations

import pytest

from api.problems import ApiError
from api.rules.definitions import Form, read_definition, validate_text
from dsl import check
from dsl.streaming import check_streamed
from udfs.rulebook import link_rule
from udfs.wire import betrace_pb2 as wire

NOT_STREAMED = [
    ("when { a as q } never { b }", "1:8-1:14"),
    ("when { a } never { b then c }", "1:20-1:28"),
    ("when { sum(x of a) > 5 } never { b }", "1:8-1:23"),
    ("when { a.where(service == trace.root.service) } never { b }", "1:8-1:46"),
]


@pytest.mark.parametrize(("text", "place"), NOT_STREAMED)
def test_it_checks_everywhere_but_for_the_stream(text: str, place: str) -> None:
    assert check(text).problems == ()
    checked = check_streamed(text)
    assert checked.rule is None
    found = [
        f"{one.code} {one.line}:{one.column}-{one.end_line}:{one.end_column}"
        for one in checked.problems
    ]
    assert found == [f"rule.not_yet {place}"]


def test_the_api_does_not_save_it() -> None:
    text = "when { a as q } always { b after q }"
    with pytest.raises(ApiError) as refusal:
        read_definition(f"id: x\nrule: '{text}'\n", form=Form.YAML)
    problems = refusal.value.members["problems"]
    assert [problem["code"] for problem in problems] == ["rule.not_yet", "rule.not_yet"]
    assert not validate_text(text).valid


def test_a_version_of_it_in_the_log_is_not_judged() -> None:
    record = wire.RuleVersion(rule_id="x", version=1, text=NOT_STREAMED[0][0], language=1)
    assert isinstance(link_rule(record), str)


def test_all_other_rules_are_as_before() -> None:
    text = "when { count(a) > 2 and trace.root.name == x } never { b.where(y == 1) }"
    assert check_streamed(text).problems == ()
