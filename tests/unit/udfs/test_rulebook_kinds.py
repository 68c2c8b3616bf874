"""The rulebook judges promises; a record of another kind is told, never judged."""

from __future__ import annotations

import pytest

from udfs.rulebook import link_rule
from udfs.wire import betrace_pb2 as wire


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("expect { nightly.backup } every 24h", "expect"),
        ("correlate { a } by k within 1m having count > 1", "correlate"),
    ],
)
def test_a_rule_over_many_traces_is_not_linked(text: str, kind: str) -> None:
    record = wire.RuleVersion(tenant="t", rule_id="r", version=1, text=text, language=1)
    told = link_rule(record)
    assert told == f"a rule of the kind `{kind}`, which this build does not judge"
