"""How many golden cases of the language ran: tests marked `golden`, by the file of their data."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

PROPERTY = "golden"


def note(item: pytest.Item, report: pytest.TestReport) -> None:
    """Let a report carry the file that its case came from, if it is a golden one."""
    mark = item.get_closest_marker("golden")
    if mark is not None and report.when == "call":
        report.user_properties.append((PROPERTY, mark.args[0]))


def summary(reports: Iterable[object]) -> str | None:
    """Return the line that says how many cases ran, None if none did."""
    files = [
        str(value)
        for report in reports
        if isinstance(report, pytest.TestReport)
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    if not files:
        return None
    return f"language: {len(files):,} golden cases in {len(set(files)):,} files"
