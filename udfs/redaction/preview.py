"""What a policy would do, without doing it: counts, and samples under a mask.

Pure, over records that somebody read again; no key is needed, and nothing of what was found leaves
but masked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from udfs.redaction.counts import Counts, Replacement, Tally
from udfs.redaction.policy import Policy
from udfs.redaction.redactor import Redactor
from udfs.redaction.strategies import Strategy, mask
from udfs.redaction.tokens import RedactionKey

MAX_SAMPLES: Final = 5
_MAX_SAMPLE_CHARACTERS: Final = 80
_MAX_ROWS: Final = 1_000
_NO_KEY: Final = RedactionKey("preview", bytes(32))


@dataclass(frozen=True, slots=True)
class Found:
    """What one detector finds in one place.

    path: the key of an attribute, or a field such as `span.name`. samples: different ones, masked.
    """

    kind: str
    path: str
    count: int
    strategy: Strategy
    samples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen. rows: most frequent first, at most 1,000; counts are of all."""

    counts: Counts
    rows: tuple[Found, ...]

    @property
    def by_kind(self) -> Mapping[str, int]:
        """How many values of each kind would be replaced."""
        return self.counts.by_kind


def preview(policy: Policy, records: Iterable[bytes]) -> Preview:
    """Run a policy dry over the values of records of spans."""
    noting = _Noting()
    redactor = Redactor(policy, _NO_KEY)
    for record in records:
        redactor.tallied(record, noting)
    rows = tuple(
        # A key may hold something itself.
        Found(kind, redactor.text(path), count, strategy, tuple(noting.samples[row]))
        for row, count in noting.found.most_common(_MAX_ROWS)
        for kind, path, strategy in (row,)
    )
    return Preview(noting.counts(policy.version), rows)


_Row = tuple[str, str, Strategy]
"""Kind, path, strategy."""


class _Noting(Tally):
    """A tally that keeps where things were, and a few of them under a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[_Row] = Counter()
        self.samples: dict[_Row, dict[str, None]] = {}

    def replaced(self, one: Replacement) -> None:
        """Count a value, and note it."""
        self.by_kind[one.kind] += 1
        row = one.kind, one.path, one.strategy
        self.found[row] += 1
        samples = self.samples.setdefault(row, {})
        if len(samples) < MAX_SAMPLES:
            samples[masked_sample(one.kind, one.clear.decode(errors="replace"))] = None


def masked_sample(kind: str, clear: str) -> str:
    """Return what people may be shown of a value: its mask, cut."""
    return mask(kind, clear)[:_MAX_SAMPLE_CHARACTERS]
