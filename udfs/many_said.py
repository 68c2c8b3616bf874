"""What rules over many traces say of a signal, and what was said of it before.

`correlate_state` and `expect_state` hold what one version of a rule follows in one lane: fed
(`take`), brought to a moment of event time (`advance`), asked what is new (`collect`). They are
kept key by key, because a lane may follow thousands and few of them change.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from dsl.many.correlation import KeyState
from dsl.many.expectation import KeySightings
from dsl.many.members import Signal
from dsl.verdict import Reason, Verdict
from udfs.many_signals import Revision
from udfs.signals import next_revision

NS_PER_MS: Final = 1_000_000
Plain: TypeAlias = list[Any]
"""What goes into JSON and comes out of it."""
K = TypeVar("K")
I = TypeVar("I")  # noqa: E741


class Said(NamedTuple):
    """What was last said of a signal. first_ms: when anything was said of it first."""

    number: int
    verdict: Verdict
    first_ms: int


class Spoken(NamedTuple):
    """One revision of a signal: its message, and what it is to rules that look at it."""

    identity: bytes
    message: bytes
    is_new: bool
    first_ms: int
    signal: Signal


def verdict_of(certain: bool, reasons: Iterable[Reason]) -> tuple[Verdict, tuple[Reason, ...]]:
    """Return the verdict of what stands, with its reasons if it is not certain."""
    return (Verdict.VIOLATED, ()) if certain else (Verdict.INCONCLUSIVE, tuple(sorted(reasons)))


def revise(
    said: Said | None,
    verdict: Verdict,
    reasons: tuple[Reason, ...],
    now_ms: int,
    *,
    reason: str = "late_evidence",
    withdrawn: bool = False,
) -> Revision:
    """Return the next revision of a signal. withdrawn: it should never have been."""
    previous = said.number if said else 0
    number = next_revision(judged_ms=now_ms, previous=previous)
    changed = said is not None and (withdrawn or said.verdict is not verdict)
    return Revision(
        number,
        verdict,
        reasons,
        now_ms,
        was=said.verdict if changed and said is not None else None,
        replaces=previous if changed else 0,
        reason=reason if changed else "",
    )


def keep_told(said: dict[K, dict[I, Said]], key: K, state: KeyState | KeySightings | None) -> None:
    """Forget what was said of signals of a key that are forgotten."""
    known: Container[object] = () if state is None else state.ledger.entries
    kept = {identity: last for identity, last in said.get(key, {}).items() if identity in known}
    if kept:
        said[key] = kept
    else:
        said.pop(key, None)
