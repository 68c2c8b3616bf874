"""Finding evidence: pages of records by filters, and how many there are, exactly.

Counts of whole days are sums that were made as records were sealed; of the hours at both ends they
are counted one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from api.auth.principal import TenantScope
from api.cursors import decode_cursor, encode_cursor, foreign_cursor
from api.database import Connection, Pool, queries, tenant_transaction
from api.evidence.model import SealedRecord
from api.problems import not_found
from udfs.evidence.canonical import MAX_INT
from udfs.evidence.records import Kind

PAGE_MAX: Final = 1_000
DAY_MS: Final = 86_400_000
PATIENCE_MS: Final = 10_000
OUTCOMES: Final = (
    *("satisfied", "violated", "inconclusive", "none"),
    *("success", "failure", "blocked", "unknown"),
    *("created", "rotated", "revoked"),
)
"""Of verdicts and coverage (none: nothing was judged); of spans and acts; of keys."""
_EPOCH: Final = date(1970, 1, 1)
_NEVER_MS: Final = 253_402_300_800_000
"""The year 10000: times of spans end in 2554, when their nanoseconds do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFilter:
    """Which records; what is empty or None asks for all. Times: from inclusive, to exclusive.

    control: soc2.CC6.1; service: the one that sent a compliance span, so that no other kinds of
    records are found by it. text: words that a record says: its kind, outcome, controls, rule (id,
    and the name it had), service, evidence type, operation or action, target; each may be the
    beginning of one, and all must be there. Ids and numbers are no words of a record.
    """

    framework: str = ""
    control: str = ""
    rule: str = ""
    service: str = ""
    text: str = ""
    kinds: tuple[Kind, ...] = ()
    outcomes: tuple[str, ...] = ()
    from_ms: int | None = None
    to_ms: int | None = None

    def columns(self) -> dict[str, Any]:
        """Return what statements are given."""
        return {
            "rule_id": self.rule or None,
            "kinds": [kind.value for kind in self.kinds] or None,
            "outcomes": list(self.outcomes) or None,
            "from_ms": self.from_ms,
            "to_ms": self.to_ms,
        }

    def columns_of_text(self) -> dict[str, Any]:
        """Return what statements that look for words are given."""
        return self.columns() | {"text": self.text, "service": self.service or None}


@dataclass(frozen=True, slots=True)
class EvidencePage:
    """One page, newest first by event time. total: of all pages; None where it was not asked."""

    items: tuple[SealedRecord, ...]
    next_cursor: str | None
    total: int | None


async def search(
    pool: Pool,
    scope: TenantScope,
    chosen: EvidenceFilter,
    *,
    cursor: str | None = None,
    limit: int = 50,
    with_total: bool = True,
) -> EvidencePage:
    """Return one page of the tenant's evidence. Raises ApiError 400 for a cursor that is none."""
    before_ms, before_seq = _place(cursor) if cursor else (None, None)
    async with tenant_transaction(pool, scope, timeout_ms=PATIENCE_MS) as connection:
        controls = await asked_controls(connection, chosen)
        place = {"before_ms": before_ms, "before_seq": before_seq, "limit": limit + 1}
        found = await _page(connection, chosen, controls, place)
        total = await count(connection, chosen, controls) if with_total else None
    items = tuple(found[:limit])
    more = len(found) > limit
    after = encode_cursor(items[-1].time_ms, items[-1].seq) if more else None
    return EvidencePage(items, after, total)


def _place(cursor: str) -> tuple[int, int]:
    before_ms, before_seq = decode_cursor(cursor, int, int)
    if not (0 <= before_ms < _NEVER_MS and 0 <= before_seq <= MAX_INT):
        raise foreign_cursor()
    return before_ms, before_seq


async def find_sealed(pool: Pool, scope: TenantScope, seq: int) -> SealedRecord:
    """Return the record at a place of the log. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        row = await queries("evidence_search").one(connection, seq=seq)
    if row is None:
        raise not_found("record")
    return record_of(row)


async def asked_controls(connection: Connection, chosen: EvidenceFilter) -> list[str] | None:
    """Return the controls that a filter asks for, of those that have records; None: for any."""
    if not chosen.framework and not chosen.control:
        return None
    if chosen.control and (
        not chosen.framework or chosen.control.startswith(f"{chosen.framework}.")
    ):
        return [chosen.control]
    if chosen.control:
        return []
    known = await controls_with_records(connection)
    return [one for one in known if one.partition(".")[0] == chosen.framework]


async def controls_with_records(connection: Connection) -> list[str]:
    """Return every control of which something is sealed, in the order of the alphabet."""
    return [row["control"] async for row in queries("evidence_search").controls(connection)]


async def count(
    connection: Connection, chosen: EvidenceFilter, controls: Sequence[str] | None
) -> int:
    """Return how many records a filter chooses. controls: as `asked_controls` says."""
    if controls is not None and not controls:
        return 0
    if chosen.text:
        return await _count_by_text(connection, chosen, controls)
    columns = chosen.columns() | {"controls": controls}
    if chosen.service:
        return int(
            await queries("evidence_search").count_of_service(
                connection, **columns, service=chosen.service
            )
        )
    days, hours = _days_and_hours(chosen.from_ms, chosen.to_ms)
    total = 0
    for from_ms, to_ms in hours:
        total += await queries("evidence_search").count(
            connection, **(columns | {"from_ms": from_ms, "to_ms": to_ms})
        )
    if days is not None:
        total += await _count_by_days(connection, chosen, days)
    return total


async def _count_by_text(
    connection: Connection, chosen: EvidenceFilter, controls: Sequence[str] | None
) -> int:
    days, hours = _days_and_hours(chosen.from_ms, chosen.to_ms)
    columns = chosen.columns_of_text() | {"controls": controls}
    del columns["from_ms"], columns["to_ms"]
    from_day, to_day = days or (None, None)
    return int(
        await queries("evidence_search").count_by_text(
            connection,
            **columns,
            has_days=days is not None,
            from_day=from_day,
            to_day=to_day,
            hours_from=[begins for begins, _ in hours],
            hours_to=[ends for _, ends in hours],
        )
    )


async def _count_by_days(
    connection: Connection, chosen: EvidenceFilter, days: tuple[date | None, date | None]
) -> int:
    columns = chosen.columns() | {"from_day": days[0], "to_day": days[1]}
    del columns["from_ms"], columns["to_ms"]
    if chosen.control:
        found = await queries("evidence_search").count_of_control_by_days(
            connection, **columns, control=chosen.control
        )
    else:
        found = await queries("evidence_search").count_by_days(
            connection, **columns, framework=chosen.framework
        )
    return int(found)


async def _page(
    connection: Connection,
    chosen: EvidenceFilter,
    controls: Sequence[str] | None,
    place: Mapping[str, Any],
) -> list[SealedRecord]:
    if controls is not None and not controls:
        return []
    named = queries("evidence_search")
    if chosen.text:
        rows = named.by_text(connection, **chosen.columns_of_text(), **place, controls=controls)
        return [record_of(row) async for row in rows]
    columns = chosen.columns() | dict(place) | {"controls": controls}
    if (chosen.kinds or chosen.outcomes) and not chosen.service:
        columns["from_ms"] = await _reach(connection, chosen, columns)
    if chosen.service:
        rows = named.by_service(connection, **columns, service=chosen.service)
    elif controls is None or chosen.rule:
        rows = named.newest(connection, **columns)
    else:
        del columns["rule_id"]
        rows = named.by_controls(connection, **columns)
    return [record_of(row) async for row in rows]


async def _reach(connection: Connection, chosen: EvidenceFilter, columns: Mapping[str, Any]) -> int:
    """Return from when on a page of rare records lies, so that no more is looked through."""
    ends = [one for one in (columns["to_ms"], columns["before_ms"]) if one is not None]
    to_day = day_of(min(ends)) if ends else None
    asked = {name: columns[name] for name in ("rule_id", "kinds", "outcomes", "limit")}
    if chosen.control:
        first = await queries("evidence_search").reach_of_control(
            connection, **asked, to_day=to_day, control=chosen.control
        )
    else:
        first = await queries("evidence_search").reach(
            connection, **asked, to_day=to_day, framework=chosen.framework
        )
    begins = first or to_day
    if begins is None:
        return _NEVER_MS
    return max(ms_of(begins), chosen.from_ms or 0)


def record_of(row: Mapping[str, Any]) -> SealedRecord:
    """Return a row of evidence_records as a value."""
    return SealedRecord(
        seq=row["seq"],
        kind=Kind(row["kind"]),
        id=row["id"],
        time_ms=row["time_ms"],
        sealed_ms=row["sealed_ms"],
        has_payload=row["has_payload"],
        line=bytes(row["line"]),
        leaf=bytes(row["leaf"]),
    )


def day_of(time_ms: int) -> date:
    """Return the day of a moment, in UTC."""
    return _EPOCH + timedelta(days=time_ms // DAY_MS)


def ms_of(day: date) -> int:
    """Return when a day begins, in UTC."""
    return (day - _EPOCH).days * DAY_MS


Days = tuple[date | None, date | None]


def _days_and_hours(
    from_ms: int | None, to_ms: int | None
) -> tuple[Days | None, list[tuple[int, int]]]:
    """Split a period into whole days, if it has any, and what lies beside them.

    None on either side: without an end.
    """
    first = None if from_ms is None else -(-from_ms // DAY_MS) * DAY_MS
    last = None if to_ms is None else to_ms // DAY_MS * DAY_MS
    if from_ms is not None and to_ms is not None and (first or 0) >= (last or 0):
        return None, [(from_ms, to_ms)] if from_ms < to_ms else []
    hours = []
    if from_ms is not None and first is not None and from_ms < first:
        hours.append((from_ms, first))
    if to_ms is not None and last is not None and last < to_ms:
        hours.append((last, to_ms))
    days = (None if first is None else day_of(first), None if last is None else day_of(last))
    return days, hours
