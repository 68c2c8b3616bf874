"""Which records a pack must span, so that nothing of its period can lie outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from udfs.evidence.checkpoints import Checkpoint
from udfs.evidence.pack import Query

CLOCK_SKEW_MS: Final = 5 * 60 * 1000
"""By how much a producer's clock may be ahead of the sealer's; the verifiers have it as well."""


def range_for(query: Query, checkpoints: Sequence[Checkpoint]) -> tuple[int, int] | None:
    """Return the first record and the end of the range, None while the period is not sealed.

    checkpoints: of the log, oldest first. What was sealed more than the skew before the period did
    not happen in it; the range ends at the first checkpoint that was made after it. What comes
    later still (a late span) is in the pack of a later export. The checkpoints with these sizes
    and the newest one belong into the pack.
    """
    before = (one.size for one in checkpoints if one.time_ms + CLOCK_SKEW_MS < query.from_ms)
    after = (one.size for one in checkpoints if one.time_ms >= query.to_ms)
    end = next(after, None)
    return None if end is None else (max(before, default=0), end)
