"""What an explanation is: a verdict with its clauses, conditions, spans and values, as data.

One structure for the API and the pages, one text for terminals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from dsl.values import GONE
from dsl.verdict import ADVICE, Combination, Judgement


@dataclass(frozen=True, slots=True)
class Witness:
    """A span that made a condition true or doubtful, and the values that were read off it."""

    span_id: str
    name: str
    values: dict[str, Any]
    label: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        shown = {"span_id": self.span_id, "name": self.name, "values": self.values}
        return {**shown, "label": self.label} if self.label else shown


@dataclass(frozen=True, slots=True)
class NearestMiss:
    """The span that came closest to a condition. failed: what it did not meet, with the values."""

    span_id: str
    name: str
    met: int
    failed: tuple[str, ...]
    label: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        shown: dict[str, Any] = {
            "span_id": self.span_id,
            "name": self.name,
            "met": self.met,
            "failed": list(self.failed),
        }
        return {**shown, "label": self.label} if self.label else shown


@dataclass(frozen=True, slots=True)
class ExplainedCondition:
    """One span test or comparison. total: how many spans there were before the list was cut.

    measured: the numbers of a comparison, as [least, greatest]; None where nothing bounds them.
    """

    text: str
    line: int
    column: int
    state: str
    spans: tuple[Witness, ...] = ()
    total: int = 0
    measured: dict[str, Any] = field(default_factory=dict)
    nearest_miss: NearestMiss | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "text": self.text,
            "line": self.line,
            "column": self.column,
            "state": self.state,
            "spans": [witness.to_dict() for witness in self.spans],
            "total": self.total,
            "measured": self.measured,
            "nearest_miss": self.nearest_miss.to_dict() if self.nearest_miss else None,
        }


@dataclass(frozen=True, slots=True)
class ExplainedClause:
    """One clause: its word, how it stands, its text, its conditions."""

    clause: str
    state: str
    text: str
    conditions: tuple[ExplainedCondition, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "clause": self.clause,
            "state": self.state,
            "text": self.text,
            "conditions": [condition.to_dict() for condition in self.conditions],
        }


@dataclass(frozen=True, slots=True)
class ExplainedBinding:
    """The span that a binding means in the combination that is explained."""

    binding: str
    span_id: str
    name: str
    label: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        shown = {"binding": self.binding, "span_id": self.span_id, "name": self.name}
        return {**shown, "label": self.label} if self.label else shown


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict with its reasons and clauses.

    bindings: the combination that the clauses are explained for: the first violated one, else the
    first in doubt, else the first for which `when` is true.
    """

    judgement: Judgement
    clauses: tuple[ExplainedClause, ...]
    bindings: tuple[ExplainedBinding, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: only texts, numbers, booleans, lists and maps."""
        return {
            "verdict": self.judgement.verdict.value,
            "broken": self.judgement.broken,
            "reasons": [reason.value for reason in self.judgement.reasons],
            "clauses": [clause.to_dict() for clause in self.clauses],
            "bindings": [binding.to_dict() for binding in self.bindings],
            "violated": [_combination(one) for one in self.judgement.bindings],
            "violated_total": self.judgement.bindings_total,
        }

    def render_text(self) -> str:
        """Return the explanation for a terminal."""
        rows = [self.judgement.verdict.value]
        rows += [f"  {reason.value}: {ADVICE[reason]}" for reason in self.judgement.reasons]
        total = self.judgement.bindings_total
        if total > 1:
            rows.append(f"  {total} combinations violate it; the first of them:")
        rows += [
            f"  {one.binding} is {one.name} ({one.label or one.span_id})" for one in self.bindings
        ]
        for clause in self.clauses:
            rows.append(f"{clause.clause} is {clause.state}")
            for condition in clause.conditions:
                rows.extend(condition_rows(condition))
        return "\n".join(rows)


def _combination(combination: Combination) -> list[dict[str, str]]:
    return [{"binding": one.name, "span_id": one.span_id.hex()} for one in combination]


def jsonable(value: Any) -> Any:
    """Return a value that was read as JSON holds it."""
    if value is GONE:
        return "(taken away)"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [jsonable(one) for one in value]
    if isinstance(value, dict):
        return {str(key): jsonable(one) for key, one in value.items()}
    return value


def shown_value(value: Any) -> str:
    """Return a value that was read for people, cut if it is long."""
    text = repr(jsonable(value)) if not isinstance(value, bool) else str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else text
    return text if len(text) <= 80 else text[:79] + "…"


def condition_rows(condition: ExplainedCondition) -> list[str]:
    """Return the lines of one condition for a terminal."""
    place = f"{condition.line}:{condition.column}"
    text = " ".join(condition.text.split())
    rows = [f"  {condition.state:7} {place:>5}  {text}"]
    for number, measured in condition.measured.items():
        rows.append(f"           {number} = {_range_text(measured)}")
    for witness in condition.spans:
        values = ", ".join(f"{key} = {shown_value(value)}" for key, value in witness.values.items())
        rows.append(f"           {witness.name} ({witness.label or witness.span_id}) {values}")
    if condition.total > len(condition.spans):
        rows.append(f"           and {condition.total - len(condition.spans)} more")
    miss = condition.nearest_miss
    if miss is not None:
        rows.append(f"           nearest: {miss.name} ({miss.label or miss.span_id}) fails")
        rows.extend(f"             {failed}" for failed in miss.failed)
    return [row.rstrip() for row in rows]


def _range_text(measured: Any) -> str:
    if measured is None:
        return "nothing to measure"
    least, greatest = measured
    if least == greatest:
        return str(least)
    return f"{least} or more" if greatest is None else f"{least} to {greatest}"
