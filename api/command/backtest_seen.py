"""Rows of rules over many traces in the report of a backtest: a key, and what was seen of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SIGNALS = ("violated", "inconclusive")


def counted_as(was: str, now: str) -> str:
    """Return what a change counts: signals, or keys that were seen on one side only."""
    return "signal" if was in _SIGNALS or now in _SIGNALS else "key"


def key_text(key: Mapping[str, str]) -> str:
    """Return a key in one line."""
    return ", ".join(f"{name} = {value}" for name, value in key.items()) or "the whole tenant"


def seen_text(seen: Mapping[str, Any]) -> str:
    """Return what was seen, of both sides where both signal and differ; empty where none does."""
    before, now = (_side_text(seen[side]) for side in ("was", "now"))
    if before and now and before != now:
        return f"{now} (before: {before})"
    return now or before


def duration(seconds: float) -> str:
    """Return a length of time in at most two units; below ten seconds with three digits."""
    if seconds < 10:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _side_text(side: Mapping[str, Any] | None) -> str:
    if side is None:
        return ""
    if side["kind"] == "correlate":
        lasts_ns = side["last_ns"] - side["since_ns"] + side["within_ns"]
        return f"{side['count']:,} within {duration(lasts_ns / 1e9)}"
    if side["until_ns"] is None:
        return f"not seen for more than {duration(side['every_ns'] / 1e9)}"
    return f"not seen for {duration((side['until_ns'] - side['last_seen_ns']) / 1e9)}"
