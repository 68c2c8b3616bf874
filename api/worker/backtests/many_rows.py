"""A row of a rule over many traces as it is stored: what was seen, and why each side says so."""

from __future__ import annotations

from typing import Any

import dsl
from api.signals.many import explanation_of
from api.worker.backtests.work import Sides
from api.worker.folding import storable
from api.worker.many import seen_of
from api.worker.trace_copy import to_json
from dsl.many.keys import field_name
from udfs.backtest.many_difference import ManyRow, Stand
from udfs.backtest.outcomes import Outcome
from udfs.backtest.rules import GivenRules
from udfs.many_rules import ManyRule

_NS_PER_MS = 1_000_000


def many_columns(row: ManyRow, sides: Sides) -> dict[str, object]:
    """Return the columns of `backtest_results`."""
    rules = {side: _rule(given, row.rule_id) for side, given in sides.named().items()}
    stands = {"now": row.now, "was": row.was}
    seen = {side: _seen(stand) for side, stand in stands.items()}
    told = {side: _explain(rules.get(side), stand, seen[side]) for side, stand in stands.items()}
    return {
        "rule_id": row.rule_id,
        "trace_id": row.identity,
        "was": str(row.kind.was),
        "now": str(row.kind.now),
        "begin_ms": row.at_ns // _NS_PER_MS,
        "root_name": "",
        "root_service": "",
        "span_count": 0,
        "first_offset": 0,
        "last_offset": 0,
        "was_outcome": outcome_json(row.was.outcome) if row.was else None,
        "now_outcome": outcome_json(row.now.outcome),
        "explanations": to_json(told) if any(told.values()) else None,
        "copied": False,
        "seen": to_json({"key": _named_key(row, rules["now"]), **seen}),
    }


def outcome_json(outcome: Outcome) -> str:
    """Return what a side says, as it is stored."""
    return to_json(
        {
            "broken": outcome.broken,
            "reasons": list(outcome.reasons),
            "incomplete": outcome.incomplete,
            "judged_ms": outcome.judged_ms,
            "signal_id": outcome.signal_id.hex(),
            "revision": outcome.revision,
        }
    )


def _rule(given: GivenRules, rule_id: str) -> ManyRule | None:
    return next((rule for rule in given.many if rule.id == rule_id), None)


def _seen(stand: Stand | None) -> dict[str, Any] | None:
    return None if stand is None or stand.signal is None else seen_of(stand.signal)


def _named_key(row: ManyRow, rule: ManyRule | None) -> dict[str, str]:
    assert rule is not None, "rows are about rules that are tried"
    if isinstance(rule.rule, dsl.ExpectRule):
        readers = [] if rule.rule.plan.by is None else [rule.rule.plan.by]
    else:
        readers = list(rule.rule.plan.by)
    return {
        storable(field_name(reader)): storable(value)
        for reader, value in zip(readers, row.key, strict=True)
    }


def _explain(
    rule: ManyRule | None, stand: Stand | None, seen: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Return the explanation as JSON values, None where there is no signal to explain."""
    if rule is None or stand is None or seen is None:
        return None
    judged_ns = stand.outcome.judged_ms * _NS_PER_MS
    return explanation_of(rule.record.text, seen, judged_ns=judged_ns)
