"""What both verifiers said of each attack on real evidence, for the summary of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

PROPERTY = "attack"


def attack_row(on: str, name: str, python: Sequence[str], javascript: Sequence[str]) -> list[str]:
    """Return a row, to be noted with `record_property(PROPERTY, …)`.

    on: what was attacked; python, javascript: codes that each verifier failed it for, if it did.
    """
    return [on, name, ", ".join(python) or "valid", ", ".join(javascript) or "valid"]


def attack_table(reports: Iterable[object]) -> list[str]:
    """Return the lines of the table; none if no attack was tried."""
    rows = [
        [str(cell) for cell in value]
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == PROPERTY and isinstance(value, list)
    ]
    if not rows:
        return []
    head = ["evidence: attack on", "what was done", "verify.py", "verify.js"]
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, *rows]
    ]
