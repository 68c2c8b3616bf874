"""How two sets of rules over many traces differ, signal by signal.

Signals of two versions have different names, and often begin at different moments: a lower
threshold is met earlier. Two of one key that are about the same time are the same thing said twice;
a signal alone was raised by one side only. A key that was seen and has no signal counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from dsl import Verdict
from udfs.backtest.difference import NOTHING, Kind
from udfs.backtest.gathering import Key, ManyOutcomes, Raised
from udfs.backtest.outcomes import NOT_APPLICABLE, Outcome
from udfs.wire import betrace_pb2 as wire

QUIET = Outcome(Verdict.SATISFIED)
"""Of a key that was seen and has no signal."""


class Stand(NamedTuple):
    """What one side says. signal: None where it raises none."""

    outcome: Outcome
    signal: wire.Signal | None = None


class ManyRow(NamedTuple):
    """A signal of either side or of both, or a key without one.

    at_ns: the signal's own time, or when the key was first seen. was: None where there is no
    version to compare with.
    """

    rule_id: str
    key: Key
    at_ns: int
    was: Stand | None
    now: Stand

    @property
    def kind(self) -> Kind:
        """What the row counts as."""
        was = NOTHING if self.was is None else self.was.outcome.verdict
        return Kind(self.rule_id, was, self.now.outcome.verdict)

    @property
    def identity(self) -> bytes:
        """What tells the row from all others of its backtest: 16 bytes."""
        sides = (stand.outcome.signal_id for stand in (self.now, self.was) if stand is not None)
        parts = (self.rule_id.encode(), *(one.encode(errors="replace") for one in self.key), *sides)
        digest = blake2b(digest_size=16, person=b"backtest.row")
        for part in parts:
            digest.update(len(part).to_bytes(4, "big"))
            digest.update(part)
        return digest.digest()


@dataclass(frozen=True, slots=True)
class ManyDifference:
    """All rows counted by kind, and the first ones of each kind that is shown."""

    counts: dict[Kind, int]
    rows: tuple[ManyRow, ...]


def many_difference(
    now: ManyOutcomes,
    was: ManyOutcomes | None,
    *,
    rule_ids: Collection[str],
    compared: Collection[str] = (),
    rows_per_kind: int,
) -> ManyDifference:
    """Count the rows and choose those to show. compared: the rules that the other side has too."""
    counts: Counter[Kind] = Counter()
    shown: dict[Kind, list[ManyRow]] = {}
    rows = compare_many(now, was, rule_ids=rule_ids, compared=frozenset(compared))
    for row in sorted(rows, key=_place):
        kind = row.kind
        counts[kind] += 1
        of_kind = shown.setdefault(kind, [])
        if kind.is_shown and len(of_kind) < rows_per_kind:
            of_kind.append(row)
    found = (row for of_kind in shown.values() for row in of_kind)
    return ManyDifference(dict(counts), tuple(sorted(found, key=_place)))


def compare_many(
    now: ManyOutcomes,
    was: ManyOutcomes | None,
    *,
    rule_ids: Collection[str],
    compared: Collection[str],
) -> Iterator[ManyRow]:
    """Yield a row for every signal or pair of signals, and for every key that has none."""
    of_now = _by_key(now.raised(rule_ids))
    of_was = _by_key(was.raised(compared)) if was else {}
    for rule_id in rule_ids:
        side_was = was if rule_id in compared else None
        seen_now = now.keys.get(rule_id, {})
        seen_was = side_was.keys.get(rule_id, {}) if side_was else {}
        keys = {*seen_now, *seen_was}
        keys |= {key for found_in, key in (*of_now, *of_was) if found_in == rule_id}
        for key in keys:
            silent_now = Stand(QUIET if key in seen_now else NOT_APPLICABLE)
            silent_was = Stand(QUIET if key in seen_was else NOT_APPLICABLE)
            pairs = list(paired(of_now.get((rule_id, key), ()), of_was.get((rule_id, key), ())))
            for raised_now, raised_was in pairs or [(None, None)]:
                raised = [one.at_ns for one in (raised_now, raised_was) if one is not None]
                seen = [seen[key] for seen in (seen_now, seen_was) if key in seen]
                before = _stand(raised_was, silent_was) if side_was else None
                now_stands = _stand(raised_now, silent_now)
                yield ManyRow(rule_id, key, min(raised or seen), before, now_stands)


def paired(
    now: Sequence[Raised], was: Sequence[Raised]
) -> Iterator[tuple[Raised | None, Raised | None]]:
    """Yield the signals of a key, those of both sides that are about the same time together.

    Both by time. Of several that would do the earliest are taken.
    """
    i = j = 0
    while i < len(now) and j < len(was):
        one, other = now[i], was[j]
        if one.to_ns < other.from_ns:
            yield one, None
            i += 1
        elif other.to_ns < one.from_ns:
            yield None, other
            j += 1
        else:
            yield one, other
            i, j = i + 1, j + 1
    yield from ((one, None) for one in now[i:])
    yield from ((None, other) for other in was[j:])


def _by_key(raised: Iterable[Raised]) -> dict[tuple[str, Key], list[Raised]]:
    found: dict[tuple[str, Key], list[Raised]] = {}
    for one in sorted(raised, key=lambda each: (each.at_ns, each.outcome.signal_id)):
        found.setdefault((one.rule_id, one.key), []).append(one)
    return found


def _stand(raised: Raised | None, silent: Stand) -> Stand:
    return silent if raised is None else Stand(raised.outcome, raised.signal)


def _place(row: ManyRow) -> tuple[int, Key, str]:
    return row.at_ns, row.key, row.rule_id
