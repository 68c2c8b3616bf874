"""The rulebook judges promises; a record of another kind is told, never judged."""

from __future__ import annotations

import pytest

from udfs.rulebook import link_rule
from udfs.wire import betrace_pb2 as wire


@pytest.mark.parametrize(
    "text",
    ["expect { nightly.backup } every 24h", "correlate { a } by k within 1m having count > 1"],
)
def test_a_rule_over_many_traces_is_not_linked(text: str) -> None:
    record = wire.RuleVersion(tenant="t", rule_id="r", version=1, text=text, language=1)
    assert link_rule(record) == "its text does not check with this build"
