"""The states of rules over many traces as plain values, and back: lists, maps, texts, numbers.

What comes back goes on as if nothing had been: the same revisions follow from the same input.
"""

from __future__ import annotations

from dataclasses import asdict
from fractions import Fraction
from math import inf
from typing import Any, Final

from dsl.many.correlation import Correlation, Counts, Identity, KeyState, Limits
from dsl.many.episodes import Episode
from dsl.many.expectation import (
    Expectation,
    ExpectCounts,
    ExpectLimits,
    KeySightings,
    Overdue,
    Run,
    Sighting,
)
from dsl.many.having import Found
from dsl.many.ledger import Ledger, Told
from dsl.many.members import Member
from dsl.many.plan import CorrelatePlan, ExpectPlan
from dsl.many.runs import Runs
from dsl.many.timeline import Timeline
from dsl.ranges import NOTHING, is_range
from dsl.verdict import Reason

VERSION: Final = 1
Plain = dict[str, Any]


class SnapshotError(ValueError):
    """A snapshot of another version, or none at all."""


def correlation_snapshot(state: Correlation) -> Plain:
    """Return the state of a `correlate`."""
    return {
        "version": VERSION,
        "watermark_ns": state.watermark_ns,
        "counts": asdict(state.counts),
        "keys": [[list(key), key_snapshot(state.keys[key])] for key in sorted(state.keys)],
        "dirty": sorted(map(list, state.dirty)),
    }


def correlation_of(plan: CorrelatePlan, limits: Limits, kept: Plain) -> Correlation:
    """Return the state that a snapshot holds. Raises SnapshotError."""
    _require_version(kept)
    return Correlation(
        plan,
        limits,
        watermark_ns=kept["watermark_ns"],
        counts=Counts(**kept["counts"]),
        keys={tuple(key): key_of_snapshot(tuple(key), one) for key, one in kept["keys"]},
        dirty={tuple(key) for key in kept["dirty"]},
    )


def _require_version(kept: Plain) -> None:
    if kept.get("version") != VERSION:
        raise SnapshotError(f"version {kept.get('version')!r}; this build reads {VERSION}")


def key_snapshot(state: KeyState) -> Plain:
    """Return the state of one key of a `correlate`."""
    carried = state.runs.carried(state.frozen_ns)
    return {
        "members": [_member(member) for member in state.members.values()],
        "frozen_ns": state.frozen_ns,
        "carried": None if carried is None else _episode(carried),
        "past": [[trace_id, *one] for trace_id, one in state.runs.past.items()],
        "overflow_ns": state.overflow_ns,
        "changed": list(state.changed),
        "ledger": [
            [*told.identity[1:], told.revision, told.state, _episode(told.thing)]
            for told in state.ledger.entries.values()
        ],
    }


def _member(member: Member) -> list[Any]:
    return [
        *(member.id, member.time_ns, member.trace_id),
        *(list(member.keys), list(member.values), list(member.gone)),
        *(member.revision, member.withdrawn, member.doubtful, member.source, member.label),
    ]


def key_of_snapshot(key: tuple[str, ...], kept: Plain) -> KeyState:
    """Return the state of one key of a `correlate` that a snapshot holds."""
    members = [_member_of(fields) for fields in kept["members"]]
    timeline = Timeline.of(member for member in members if not member.withdrawn)
    carried = None if kept["carried"] is None else _episode_of(kept["carried"])
    past = {trace_id: (count, last_ns) for trace_id, count, last_ns in kept["past"]}
    state = KeyState(
        members={member.id: member for member in members},
        timeline=timeline,
        withdrawn=sorted((member.time_ns, member.id) for member in members if member.withdrawn),
        runs=Runs.going_on(carried, past),
        stale_ns=timeline.members[0].time_ns if timeline else None,
        frozen_ns=kept["frozen_ns"],
        overflow_ns=kept["overflow_ns"],
        changed=list(kept["changed"]),
    )
    ledger: Ledger[Identity, Episode] = state.ledger
    for trace_id, occurrence, revision, word, episode in kept["ledger"]:
        identity = (key, trace_id, occurrence)
        ledger.entries[identity] = Told(identity, revision, word, _episode_of(episode))
    return state


def _member_of(fields: list[Any]) -> Member:
    plain: list[Any] = [tuple(one) if isinstance(one, list) else one for one in fields]
    return Member(*plain)


def _episode(episode: Episode) -> list[Any]:
    return [
        *(episode.trace_id, episode.occurrence, episode.since_ns, episode.last_ns, episode.count),
        [_found(one) for one in episode.found],
        episode.certain,
        sorted(episode.reasons),
    ]


def _episode_of(kept: list[Any]) -> Episode:
    trace_id, occurrence, since_ns, last_ns, count, found, certain, reasons = kept
    return Episode(
        trace_id=trace_id,
        occurrence=occurrence,
        since_ns=since_ns,
        last_ns=last_ns,
        count=count,
        found=tuple(map(_found_of, found)),
        certain=certain,
        reasons=frozenset(map(Reason, reasons)),
    )


def _found(found: Found) -> list[Any] | None:
    if is_range(found):
        return [_number(one) for one in found]
    return None if found is None else []


def _found_of(kept: list[Any] | None) -> Found:
    if kept:
        least, greatest = kept
        return _number_of(least), _number_of(greatest)
    return None if kept is None else NOTHING


def _number(value: int | float | Fraction) -> int | str:
    return value if isinstance(value, int) else str(value)


def _number_of(kept: int | str) -> int | float | Fraction:
    if isinstance(kept, int):
        return kept
    return {"inf": inf, "-inf": -inf}.get(kept) or Fraction(kept)


# -- expect ----------------------------------------------------------------------------------------


def expectation_snapshot(state: Expectation) -> Plain:
    """Return the state of an `expect`."""
    return {
        "version": VERSION,
        "activated_ns": state.activated_ns,
        "watermark_ns": state.watermark_ns,
        "counts": asdict(state.counts),
        "keys": [[key, sightings_snapshot(state.keys[key])] for key in sorted(state.keys)],
        "dirty": sorted(state.dirty),
    }


def expectation_of(plan: ExpectPlan, limits: ExpectLimits, kept: Plain) -> Expectation:
    """Return the state that a snapshot holds. Raises SnapshotError."""
    _require_version(kept)
    return Expectation(
        plan,
        kept["activated_ns"],
        limits,
        watermark_ns=kept["watermark_ns"],
        counts=ExpectCounts(**kept["counts"]),
        keys={key: sightings_of_snapshot(key, one) for key, one in kept["keys"]},
        dirty=set(kept["dirty"]),
    )


def sightings_snapshot(state: KeySightings) -> Plain:
    """Return the state of one key of an `expect`."""
    return {
        "runs": [[list(run.first), list(run.last)] for run in state.runs],
        "forgotten_ns": list(state.forgotten_ns),
        "doubtful_ns": None if state.doubtful_ns is None else list(state.doubtful_ns),
        "ledger": [
            [told.revision, told.state, _overdue(told.thing)]
            for told in state.ledger.entries.values()
        ],
    }


def _overdue(overdue: Overdue) -> list[Any]:
    return [
        *(list(overdue.since), overdue.due_ns, overdue.until_ns, overdue.why, overdue.trace_id),
        sorted(overdue.reasons),
    ]


def sightings_of_snapshot(key: str, kept: Plain) -> KeySightings:
    """Return the state of one key of an `expect` that a snapshot holds."""
    runs = [Run(Sighting(*first), Sighting(*last)) for first, last in kept["runs"]]
    doubtful_ns = None if kept["doubtful_ns"] is None else tuple(kept["doubtful_ns"])
    state = KeySightings(runs, list(kept["forgotten_ns"]), doubtful_ns)
    for revision, word, (since, due_ns, until_ns, why, trace_id, reasons) in kept["ledger"]:
        doubts = frozenset(map(Reason, reasons))
        overdue = Overdue(Sighting(*since), due_ns, until_ns, why, trace_id, doubts)
        identity = (key, overdue.since.time_ns)
        state.ledger.entries[identity] = Told(identity, revision, word, overdue)
    return state
