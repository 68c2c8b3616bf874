"""What was told of the signals of one key, so that only what changed is told again.

A signal is told by revisions from 1 on; whoever keeps the highest is right. A signal that is no
longer there is withdrawn, and may come back with a higher revision.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypeAlias, TypeVar

State: TypeAlias = Literal["open", "over", "withdrawn"]
"""open: it stands and may grow. over: it came to its end. withdrawn: it should not have been."""
STATES: Final[tuple[State, ...]] = ("open", "over", "withdrawn")

I = TypeVar("I", bound=Hashable)  # noqa: E741
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Told(Generic[I, T]):
    """One revision of a signal. thing: as it is now; of a withdrawn one, as it was last."""

    identity: I
    revision: int
    state: State
    thing: T


@dataclass(slots=True)
class Ledger(Generic[I, T]):
    """The last revision of each signal."""

    entries: dict[I, Told[I, T]] = field(default_factory=dict)

    def tell(
        self,
        current: Mapping[I, tuple[State, T]],
        *,
        touched: Collection[I] = (),
        before: Iterable[I] | None = None,
    ) -> list[Told[I, T]]:
        """Return the revisions that lead from what was told to what is now.

        touched: signals to tell again even if they look the same, because a member changed.
        before: those told that are withdrawn unless they are current; None: all.
        """
        told = [
            self._record(identity, state, thing)
            for identity, (state, thing) in current.items()
            if identity in touched or not self._stands(identity, state, thing)
        ]
        gone = [
            entry
            for identity in (self.entries if before is None else before)
            if identity not in current
            and (entry := self.entries.get(identity)) is not None
            and entry.state != "withdrawn"
        ]
        told += [self._record(entry.identity, "withdrawn", entry.thing) for entry in gone]
        return told

    def _stands(self, identity: I, state: State, thing: T) -> bool:
        entry = self.entries.get(identity)
        return entry is not None and (entry.state, entry.thing) == (state, thing)

    def _record(self, identity: I, state: State, thing: T) -> Told[I, T]:
        before = self.entries.get(identity)
        revision = 1 if before is None else before.revision + 1
        told = self.entries[identity] = Told(identity, revision, state, thing)
        return told
