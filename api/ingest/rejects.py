"""Spans that are refused while the others of their request go through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Reject:
    """One refused span (or `count` of them, refused for the same reason at once).

    code: dotted and stable. detail: one sentence. content: bytes of the span, as sent.
    """

    code: str
    detail: str
    content: bytes = b""
    count: int = 1


def rejected_spans(rejects: Sequence[Reject]) -> int:
    """Return how many spans were refused."""
    return sum(reject.count for reject in rejects)


def describe(rejects: Sequence[Reject]) -> str:
    """Return the message of a partial success: each reason with its number of spans."""
    counts: Counter[str] = Counter()
    for reject in rejects:
        counts[f"{reject.code}: {reject.detail}"] += reject.count
    reasons = [f"{count} × {reason}" for reason, count in counts.most_common(_NAMED)]
    if len(counts) > _NAMED:
        reasons.append(f"and {len(counts) - _NAMED} other reasons")
    return "; ".join(reasons)
