"""The matrix of controls: what was seen of each in some days, and since when nothing.

It counts satisfied, violated and inconclusive, and claims nothing: whether a control is effective,
or whoever has it compliant, is for people to say. It is made of sums by day, so it takes as long
over a million records as over a thousand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Final

from api.auth.principal import TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.evidence.search import PATIENCE_MS, controls_with_records, day_of, ms_of
from dsl.controls import Control, catalogue, catalogues, control, sort_key

RANGE_MAX_DAYS: Final = 3_660
"""Ten years."""


class Standing(StrEnum):
    """What can be said of a control in a period, in one word: the first of these that is so.

    VIOLATED: a rule was broken, or a service said that what it did failed. INCONCLUSIVE: some
    judgement could not be made. SATISFIED: there is evidence, and none of these. WATCHED: rules
    looked, and nothing that concerns them happened. NONE: no evidence.
    """

    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"
    SATISFIED = "satisfied"
    WATCHED = "watched"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class RuleSums:
    """What a rule's coverage says of a control in a period. day_count: in which it judged."""

    rule: str
    intervals: int
    judged: int
    satisfied: int
    violated: int
    inconclusive: int
    late: int
    dropped: int
    day_count: int
    last_day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRow:
    """One control. described: as its catalogue does, None if none does.

    rules: what they judged. said: outcomes that services and acts tell of, by outcome. verdicts:
    records of single verdicts. records: of any kind but coverage. day_count: days with evidence.
    last_ms: of the last evidence at any time, None if there never was some; days_without: whole
    days between it and the end of the period.
    """

    id: str
    described: Control | None
    rules: tuple[RuleSums, ...] = ()
    said: Mapping[str, int] = field(default_factory=dict)
    verdicts: Mapping[str, int] = field(default_factory=dict)
    records: int = 0
    day_count: int = 0
    last_ms: int | None = None
    last_seq: int | None = None
    days_without: int | None = None

    @property
    def satisfied(self) -> int:
        """Judgements that a rule was kept, and what services and acts say they did."""
        kept = sum(one.satisfied for one in self.rules) or self.verdicts.get("satisfied", 0)
        return kept + self.said.get("success", 0) + self.said.get("blocked", 0)

    @property
    def violated(self) -> int:
        """Judgements that a rule was broken, and what services and acts say failed."""
        # What was judged a moment ago has verdicts, and no coverage yet.
        counted = sum(one.violated for one in self.rules) or self.verdicts.get("violated", 0)
        return counted + self.said.get("failure", 0)

    @property
    def inconclusive(self) -> int:
        """Judgements that could not be made, and spans that do not say how they ended."""
        counted = sum(one.inconclusive for one in self.rules)
        return (counted or self.verdicts.get("inconclusive", 0)) + self.said.get("unknown", 0)

    @property
    def standing(self) -> Standing:
        """The word for all that."""
        if self.violated:
            return Standing.VIOLATED
        if self.inconclusive:
            return Standing.INCONCLUSIVE
        if self.satisfied:
            return Standing.SATISFIED
        return Standing.WATCHED if self.rules else Standing.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """The controls of a framework, or of all, as their catalogues have them.

    Those that have evidence and no description stand behind. Days: from inclusive, to exclusive.
    """

    framework: str
    from_day: date
    to_day: date
    rows: tuple[ControlRow, ...]

    def without_since(self, days: int) -> tuple[ControlRow, ...]:
        """Return the rows without evidence for so many days or longer, or ever."""
        return tuple(
            row for row in self.rows if row.days_without is None or row.days_without >= days
        )


async def read_matrix(
    pool: Pool, scope: TenantScope, *, from_day: date, to_day: date, framework: str = ""
) -> Matrix:
    """Return the matrix of the tenant's controls. framework: empty: all that have a catalogue or
    evidence."""
    async with tenant_transaction(pool, scope, timeout_ms=PATIENCE_MS) as connection:
        known = await controls_with_records(connection)
        ids = _chosen(framework, known)
        rows = await _rows(connection, ids, from_day=from_day, to_day=to_day)
    return Matrix(framework=framework, from_day=from_day, to_day=to_day, rows=rows)


async def read_control(
    pool: Pool, scope: TenantScope, control_id: str, *, from_day: date, to_day: date
) -> ControlRow | None:
    """Return one control; None if no catalogue describes it and nothing is sealed of it."""
    async with tenant_transaction(pool, scope, timeout_ms=PATIENCE_MS) as connection:
        [row] = await _rows(connection, [control_id], from_day=from_day, to_day=to_day)
    return None if row.described is None and row.last_ms is None and not row.rules else row


async def known_frameworks(pool: Pool, scope: TenantScope) -> list[str]:
    """Return the frameworks with a catalogue or evidence."""
    async with tenant_transaction(pool, scope, timeout_ms=PATIENCE_MS) as connection:
        known = await controls_with_records(connection)
    others = {one.partition(".")[0] for one in known}
    ours = [one.id for one in catalogues()]
    return ours + sorted(others - set(ours))


def _chosen(framework: str, known: Iterable[str]) -> list[str]:
    described = [
        one.id for each in catalogues() if framework in ("", each.id) for one in each.controls
    ]
    found = [one for one in known if framework in ("", one.partition(".")[0])]
    return sorted({*described, *found}, key=sort_key)


async def _rows(
    connection: Connection, ids: Sequence[str], *, from_day: date, to_day: date
) -> tuple[ControlRow, ...]:
    period = {"controls": list(ids), "from_day": from_day, "to_day": to_day}
    named = queries("evidence_search")
    rules: dict[str, list[RuleSums]] = defaultdict(list)
    async for row in named.sums_of_coverage(connection, **period):
        rules[row["control"]].append(_rule_sums(row))
    said: dict[str, dict[str, int]] = defaultdict(dict)
    verdicts: dict[str, dict[str, int]] = defaultdict(dict)
    async for row in named.sums_of_records(connection, **period):
        if row["kind"] == "verdict":
            verdicts[row["control"]][row["outcome"]] = row["record_count"]
        elif row["kind"] in ("span", "act"):
            by_outcome = said[row["control"]]
            by_outcome[row["outcome"]] = by_outcome.get(row["outcome"], 0) + row["record_count"]
    days = {
        row["control"]: row["day_count"]
        async for row in named.days_with_evidence(connection, **period)
    }
    last = {
        row["control"]: (row["last_ms"], row["last_seq"])
        async for row in named.last_evidence(connection, controls=list(ids))
    }
    return tuple(
        ControlRow(
            id=one,
            described=control(one),
            rules=tuple(rules.get(one, ())),
            said=said.get(one, {}),
            verdicts=verdicts.get(one, {}),
            records=sum(said.get(one, {}).values()) + sum(verdicts.get(one, {}).values()),
            day_count=days.get(one, 0),
            last_ms=last.get(one, (None, None))[0],
            last_seq=last.get(one, (None, None))[1],
            days_without=_days_without(last.get(one), to_day),
        )
        for one in ids
    )


def _days_without(last: tuple[int, int] | None, to_day: date) -> int | None:
    if last is None:
        return None
    return max(0, (to_day - day_of(last[0])).days - 1)


def _rule_sums(row: Mapping[str, Any]) -> RuleSums:
    return RuleSums(
        rule=row["rule_id"],
        intervals=row["interval_count"],
        judged=row["judged"],
        satisfied=row["satisfied"],
        violated=row["violated"],
        inconclusive=row["inconclusive"],
        late=row["late"],
        dropped=row["dropped"],
        day_count=row["day_count"],
        last_day=row["last_day"],
    )


def framework_title(framework: str) -> str:
    """Return what a framework is called."""
    found = catalogue(framework)
    return found.title if found else framework


def period_ms(from_day: date, to_day: date) -> tuple[int, int]:
    """Return a period of days in milliseconds, from inclusive, to exclusive."""
    return ms_of(from_day), ms_of(to_day)
