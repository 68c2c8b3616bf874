"""Whether this build can go on from a snapshot, asked before anything is stopped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jobs.inscription import CARRIER, Inscription
from jobs.snapshot import Snapshot
from udfs.lanes import MAX_PARALLELISM

_NEXT_STEP = (
    "Judge anew from the log instead: `betrace job recover` (deploy/README.md, Lost state)."
)


class SnapshotUnfit(Exception):
    """The job must not be restored from a snapshot. `problems` holds one sentence each."""

    def __init__(self, address: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{address} cannot be restored: {'; '.join(problems)}. {_NEXT_STEP}")


def inscription_of(snapshot: Snapshot) -> Inscription | None:
    """Return what a snapshot says of itself; None if it comes from a build that said nothing."""
    for operator in snapshot.operators:
        if operator.uid == CARRIER:
            return Inscription.parse(operator.name)
    return None


def problems_of(
    snapshot: Snapshot, *, uids: Iterable[str] | None, rules: Iterable[bytes]
) -> list[str]:
    """Return why the job must not go on from a snapshot; none if it may.

    uids: of the operators of this build, None to leave that to Flink, which refuses as well. rules:
    records of the rules log. A build that wrote no inscription is left to the readers of its state.
    """
    problems = []
    if uids is not None:
        known = set(uids)
        homeless = [o.uid for o in snapshot.operators if o.size_bytes and o.uid not in known]
        if homeless:
            names = ", ".join(sorted(homeless))
            problems.append(f"it holds state of operators that this build does not have: {names}")
    for operator in snapshot.operators:
        if operator.max_parallelism != MAX_PARALLELISM:
            problems.append(
                f"operator {operator.uid} was made with {operator.max_parallelism} key groups, "
                f"and lanes need {MAX_PARALLELISM}"
            )
    inscription = inscription_of(snapshot)
    return problems + (inscription.problems(rules) if inscription else [])
