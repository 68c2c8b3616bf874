"""How many requests the matrix of routes and roles made, for the summary of a run."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

PROPERTY = "access matrix"


def summary(reports: Iterable[object]) -> str | None:
    """Return the line that says how many requests were judged, None if none were."""
    counts = [
        int(str(value))
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    return f"access: {sum(counts):,} requests of the matrix were judged" if counts else None
