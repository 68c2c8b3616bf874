"""Comparing what was found with what was planted."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

Pair = tuple[str, bytes]
"""A rule id and a trace id."""


@dataclass(frozen=True, slots=True)
class Score:
    """Precision and recall on final revisions.

    raised: pairs that were called violated at any time; withdrawn: those of them that are not
    called so in the end. missing and false: pairs planted and not found, found and not planted.
    """

    planted: int
    found: int
    raised: int
    withdrawn: int
    missing: frozenset[Pair]
    false: frozenset[Pair]

    @property
    def precision(self) -> float:
        """Share of the violations found that were planted; 1 if none was found."""
        return 1 - len(self.false) / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of the violations planted that were found; 1 if none was planted."""
        return 1 - len(self.missing) / self.planted if self.planted else 1.0

    @property
    def withdrawn_share(self) -> float:
        """Share of all raised signals that were withdrawn."""
        return self.withdrawn / self.raised if self.raised else 0.0


def score(planted: Set[Pair], verdicts: Mapping[Pair, str]) -> Score:
    """Compare; verdicts: of every signal ever raised, that of its highest revision."""
    found = {pair for pair, verdict in verdicts.items() if verdict == "violated"}
    return Score(
        planted=len(planted),
        found=len(found),
        raised=len(verdicts),
        withdrawn=len(verdicts) - len(found),
        missing=frozenset(planted - found),
        false=frozenset(found - planted),
    )
