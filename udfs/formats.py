"""The formats that state is written in, for asking before a restore whether it can be read.

Every reader refuses by itself what it does not know; this table lets a command say so while the
old job still runs. It goes with the state as text (`jobs.inscription`).
"""

from __future__ import annotations

from collections.abc import Mapping

from udfs.lanes import LANES, MAX_PARALLELISM

WRITES: Mapping[str, int] = {
    "lanes": LANES,
    "keygroups": MAX_PARALLELISM,
    "lane": 4,
    "facts": 3,
    "trace": 5,
    "minute": 3,
    "block": 1,
    "many": 1,
    "said": 1,
}
"""By what it is the format of: `udfs.life` (lane, block), `.facts`, `.trace_state`, `.closed`,
`.many_lane`, `.contributions` (said)."""

READS: Mapping[str, tuple[int, ...]] = {
    **{name: (written,) for name, written in WRITES.items()},
    "lane": (2, 3, 4),
    "facts": (1, 2, 3),
    "trace": (1, 2, 3, 4, 5),
    "minute": (2, 3),
}


def unreadable(written: Mapping[str, int]) -> list[str]:
    """Return what this build cannot read of state in these formats, one sentence each."""
    problems = []
    for name, version in sorted(written.items()):
        known = READS.get(name)
        if known is None:
            problems.append(f"it holds {name} state of format {version}, unknown to this build")
        elif version not in known:
            choice = " or ".join(map(str, known))
            problems.append(f"it was made with {name} {version}; this build reads {choice}")
    return problems
