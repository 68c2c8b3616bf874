"""Records as lines of a table (CSV, RFC 4180), in which no cell is a formula to a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from udfs.evidence.records import (
    Act,
    ComplianceSpan,
    Coverage,
    KeyChange,
    Record,
    RuleVerdict,
    outcome_of,
)

COLUMNS: Final = (
    *("seq", "time", "kind", "controls", "outcome", "service", "evidence_type", "operation"),
    *("rule", "rule_version", "judged", "satisfied", "violated", "inconclusive", "late", "dropped"),
    *("actor", "target", "trace_id", "span_id", "signal", "tenant", "id"),
)
"""Times are UTC in ISO 8601; controls stand with spaces between. A column that a kind of record has
nothing for is empty."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def head_line() -> str:
    """Return the names of the columns."""
    return _line(COLUMNS)


def table_line(record: Record) -> str:
    """Return a record as one line, with its line feed."""
    cells = {
        "seq": record.seq,
        "time": moment_text(record.time_ms),
        "kind": record.kind.value,
        "controls": " ".join(record.controls),
        "tenant": record.tenant,
        "id": record.id,
        **_of_body(record),
    }
    return _line(guarded(str(cells.get(name, ""))) for name in COLUMNS)


def guarded(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def moment_text(time_ms: int) -> str:
    """Return a time as ISO 8601 in UTC, with milliseconds."""
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _of_body(record: Record) -> dict[str, object]:
    body = record.body
    cells: dict[str, object] = {"outcome": outcome_of(body)}
    match body:
        case ComplianceSpan():
            cells |= {name: getattr(body, name) for name in _SPAN}
        case RuleVerdict():
            cells |= {"signal": body.signal, "trace_id": body.trace_id}
        case Coverage():
            cells |= {name: getattr(body, name) for name in _COVERAGE}
        case Act():
            cells |= {"operation": body.action, "actor": body.actor, "target": body.target}
        case KeyChange():
            cells |= {"target": body.verifier_key}
    if isinstance(body, RuleVerdict | Coverage):
        cells |= {"rule": body.rule.id, "rule_version": body.rule.version}
    return cells


_SPAN: Final = ("service", "evidence_type", "operation", "trace_id", "span_id")
_COVERAGE: Final = ("judged", "satisfied", "violated", "inconclusive", "late", "dropped")


def _line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(list(cells))
    return line.getvalue()
