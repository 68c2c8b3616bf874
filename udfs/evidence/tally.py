"""Counts of a pack, made while its records go by: the population, and the sums of coverage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from udfs.evidence.canonical import Json
from udfs.evidence.pack import Query
from udfs.evidence.records import Kind

SUMMED: Final = ("judged", "satisfied", "violated", "inconclusive", "late", "dropped")


class Tally:
    """What a pack says of itself in population.json and coverage.json."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._kinds: Counter[str] = Counter()
        self._controls: Counter[str] = Counter()
        self._verdicts: Counter[str] = Counter()
        self._coverage: dict[tuple[str, str], dict[str, int]] = {}
        self._others = 0
        self._withheld = 0

    def count(self, record: Mapping[str, Any]) -> None:
        """Count a record that is shown, given as its JSON object."""
        if not self._query.asks_for(record):
            self._others += 1
            return
        kind = record["kind"]
        self._kinds[kind] += 1
        self._controls.update(record["controls"])
        if kind == Kind.VERDICT:
            self._verdicts[record["body"]["verdict"]] += 1
        elif kind == Kind.COVERAGE:
            self._cover(record["controls"][0], record["body"])

    def withhold(self, records: int) -> None:
        """Count records of the range that are not shown."""
        self._withheld += records

    def population(self) -> dict[str, Json]:
        """Return population.json: records is the number asked for, others are shown as well."""
        return {
            "by_control": dict(self._controls),
            "by_kind": dict(self._kinds),
            "by_verdict": dict(self._verdicts),
            "others": self._others,
            "records": self._kinds.total(),
            "withheld": self._withheld,
        }

    def coverage(self) -> list[dict[str, Json]]:
        """Return coverage.json: a row for each rule and control, sorted by them."""
        return [
            {"control": control, "rule": rule, **self._coverage[rule, control]}
            for rule, control in sorted(self._coverage)
        ]

    def _cover(self, control: str, body: Mapping[str, Any]) -> None:
        key = (body["rule"]["id"], control)
        row = self._coverage.get(key)
        if row is None:
            row = {"from_ms": body["from_ms"], "to_ms": body["to_ms"], "intervals": 0}
            self._coverage[key] = row | dict.fromkeys(SUMMED, 0)
            row = self._coverage[key]
        row["from_ms"] = min(row["from_ms"], body["from_ms"])
        row["to_ms"] = max(row["to_ms"], body["to_ms"])
        row["intervals"] += 1
        for name in SUMMED:
            row[name] += body[name]
