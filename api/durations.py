"""Durations as people write them."""

from __future__ import annotations

import re

_UNITS_MS = {"ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_UNITS_MS["d"] = 24 * _UNITS_MS["h"]
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|ms|s|m|h|d)")


def duration_text(ms: int) -> str:
    """Return a duration as people write it, exactly: 90s, 2m, 1500ms."""
    for unit in ("d", "h", "m", "s"):
        if ms and ms % _UNITS_MS[unit] == 0:
            return f"{int(ms // _UNITS_MS[unit])}{unit}"
    return f"{ms}ms" if ms else "0s"


def duration_ms(text: str) -> int:
    """Return a duration of the language (`1.5s`) in whole ms. Raises ValueError for no duration."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no duration such as 10s or 500ms")
    return round(float(match[1]) * _UNITS_MS[match[2]])
