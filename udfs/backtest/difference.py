"""How the verdicts of two sets of rules differ, trace by trace."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dsl import Verdict
from udfs.backtest.outcomes import NOT_APPLICABLE, Outcome, Outcomes, Seen

NOTHING = ""
"""In place of the earlier verdict, where there is no version to compare with."""
_SILENT = Verdict.NOT_APPLICABLE.value


class Kind(NamedTuple):
    """A rule, what was said of a trace before, and what is said now."""

    rule_id: str
    was: str
    now: str

    @property
    def changed(self) -> bool:
        """Whether the versions differ."""
        return self.was not in (NOTHING, self.now)

    @property
    def is_shown(self) -> bool:
        """Whether single traces of the kind are worth showing: changes, and what would signal."""
        return self.changed or self.now == Verdict.VIOLATED


class Row(NamedTuple):
    """A trace and a rule; was: None where there is no version to compare with."""

    rule_id: str
    trace: Seen
    was: Outcome | None
    now: Outcome

    @property
    def kind(self) -> Kind:
        """What the row counts as."""
        return Kind(self.rule_id, self.was.verdict if self.was else NOTHING, self.now.verdict)


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of the traces of one partition.

    trace_count: that began in the range; open_count: those among them that never ended. counts:
    every rule's traces by kind, all of them. rows: the first ones of each kind that is shown, by
    begin and trace id.
    """

    trace_count: int
    open_count: int
    counts: dict[Kind, int]
    rows: tuple[Row, ...]


def compare(
    now: Outcomes, was: Outcomes | None, *, rule_ids: Sequence[str], compared: Collection[str]
) -> Iterator[Row]:
    """Yield a row for every rule and trace about which one of the sides has something to say.

    rule_ids: to report. compared: those among them that the other side has as well. The rules that
    are left out apply on neither side.
    """
    traces = {seen.trace_id: seen for seen in was.traces()} if was else {}
    traces.update((seen.trace_id, seen) for seen in now.traces())
    for trace_id, seen in traces.items():
        now_said, now_unsaid = now.said(trace_id), now.unsaid(trace_id)
        was_said = was.said(trace_id) if was else {}
        was_unsaid = was.unsaid(trace_id) if was else NOT_APPLICABLE
        silent = now_unsaid is was_unsaid is NOT_APPLICABLE
        for rule_id in rule_ids:
            if silent and rule_id not in now_said and rule_id not in was_said:
                continue
            before = was_said.get(rule_id, was_unsaid) if rule_id in compared else None
            yield Row(rule_id, seen, before, now_said.get(rule_id, now_unsaid))


def difference(
    now: Outcomes,
    was: Outcomes | None,
    *,
    rule_ids: Sequence[str],
    compared: Collection[str] = (),
    rows_per_kind: int,
) -> Difference:
    """Count the rows of a partition and choose those to show."""
    with_both = frozenset(compared)
    counts: dict[Kind, int] = {}
    shown: dict[Kind, list[Row]] = {}
    spoken = dict.fromkeys(rule_ids, 0)
    for row in compare(now, was, rule_ids=rule_ids, compared=with_both):
        kind = row.kind
        counts[kind] = counts.get(kind, 0) + 1
        spoken[row.rule_id] += 1
        if kind.is_shown:
            shown.setdefault(kind, []).append(row)
    for rule_id, spoken_count in spoken.items():
        kind = Kind(rule_id, _SILENT if rule_id in with_both else NOTHING, _SILENT)
        counts[kind] = counts.get(kind, 0) + max(now.trace_count - spoken_count, 0)
    rows = [row for found in shown.values() for row in sorted(found, key=_place)[:rows_per_kind]]
    return Difference(
        trace_count=now.trace_count,
        open_count=now.open_count,
        counts={kind: count for kind, count in counts.items() if count},
        rows=tuple(sorted(rows, key=_place)),
    )


def _place(row: Row) -> tuple[int, bytes, str]:
    return row.trace.begin_ms, row.trace.trace_id, row.rule_id
