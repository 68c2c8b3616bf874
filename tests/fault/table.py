"""The table that `make test-faults` ends with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import pytest

from api.bench.score import Pair


class FaultRow(NamedTuple):
    """What became of the violations planted around one fault; recovery_s: until the first signal
    of what came after it."""

    name: str
    recovery_s: float
    planted: int
    found: int
    others: int

    @classmethod
    def of(
        cls, name: str, recovery_s: float, planted: Collection[Pair], rows: Sequence[Pair]
    ) -> FaultRow:
        """Compare what was planted with the rows of signals; a second row of one is another."""
        found = set(planted) & set(rows)
        return cls(name, recovery_s, len(planted), len(found), len(rows) - len(found))


def fault_table(reports: Iterable[pytest.TestReport]) -> list[str]:
    """Return the lines of the table; none if no fault was tried."""
    rows = [
        (FaultRow(*value), report.passed)
        for report in reports
        for name, value in report.user_properties
        if name == "row" and isinstance(value, tuple)
    ]
    if not rows:
        return []
    wide = max(len(row.name) for row, _ in rows)
    head = f"{'fault':<{wide}}  {'planted':>7}  {'found':>7}  {'others':>6}  {'recovery':>8}"
    lines = [
        f"{row.name:<{wide}}  {row.planted:>7,}  {row.found:>7,}  {row.others:>6,}"
        f"  {row.recovery_s:>6.1f} s  {'exact' if exact else 'WRONG'}"
        for row, exact in rows
    ]
    return [head, *lines]
