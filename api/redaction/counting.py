"""What redaction took out, counted for each tenant: in memory with every request, written now and
then.

A request costs some additions. What a process had not written when it was killed is not counted:
at most what it did in PAUSE_S.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from psycopg.errors import ForeignKeyViolation

from api.auth.principal import TenantScope, grant_scope
from api.database import DatabaseUnavailable, Pool, QueryTooSlow, queries, tenant_transaction
from udfs.redaction import kinds
from udfs.redaction.counts import Tally

PAUSE_S: Final = 5.0
DAYS_MAX: Final = 400
SPANS: Final = "spans"
FAILURES: Final = "failures"
UNREADABLE: Final = "unreadable"
UNKNOWN_FIELDS: Final = "unknown_fields"
_NO_KINDS: Final = frozenset({SPANS, FAILURES, UNREADABLE, UNKNOWN_FIELDS})

log = structlog.get_logger(__name__)

_Place = tuple[date, int, str]
"""Day, version of the policy, what."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class RedactionCounts:
    """What was done since the last `write`. Belongs to one event loop."""

    def __init__(self, *, now: Callable[[], datetime] = _utc_now) -> None:
        self._now = now
        self._waiting: dict[UUID, Counter[_Place]] = {}

    def add(self, tenant: UUID, version: int, tally: Tally) -> None:
        """Count what was done by a version of the policy of a tenant."""
        day = self._now().date()
        of_tenant = self._waiting.setdefault(tenant, Counter())
        for what, count in _told(tally).items():
            of_tenant[day, version, what] += count
        if not of_tenant:
            del self._waiting[tenant]

    async def write(self, pool: Pool) -> None:
        """Write what was counted, one transaction a tenant; what fails is kept for the next time.

        Raises DatabaseUnavailable, QueryTooSlow.
        """
        for tenant in list(self._waiting):
            counts = self._waiting.pop(tenant)
            try:
                await _add(pool, tenant, counts)
            except ForeignKeyViolation:
                continue  # the tenant is gone
            except BaseException:
                self._waiting.setdefault(tenant, Counter()).update(counts)
                raise


def _told(tally: Tally) -> Counter[str]:
    told = Counter(tally.by_kind)
    told[SPANS] = tally.spans
    told[FAILURES] = tally.failures
    told[UNREADABLE] = tally.unreadable
    told[UNKNOWN_FIELDS] = tally.unknown_fields
    return +told


async def _add(pool: Pool, tenant: UUID, counts: Counter[_Place]) -> None:
    # In one order, so that two processes do not wait for each other.
    places = sorted(counts)
    async with tenant_transaction(pool, grant_scope(tenant, actor="betrace")) as connection:
        await queries("redaction").add_counts(
            connection,
            days=[day for day, _, _ in places],
            versions=[version for _, version, _ in places],
            whats=[what for _, _, what in places],
            counts=[counts[place] for place in places],
        )


async def keep_counts(pool: Pool, counts: RedactionCounts, *, pause_s: float = PAUSE_S) -> None:
    """Write counts every `pause_s` until cancelled, and once more then."""
    try:
        while True:
            await asyncio.sleep(pause_s)
            await _write(pool, counts)
    finally:
        await _write(pool, counts)


async def _write(pool: Pool, counts: RedactionCounts) -> None:
    try:
        await counts.write(pool)
    except (DatabaseUnavailable, QueryTooSlow) as error:
        log.warning("redaction.counts_not_written", cause=str(error.__cause__))


@dataclass(frozen=True, slots=True)
class Counted:
    """What was done in some days. first, last: these days, both inclusive. by_kind: values.

    by_version: values by version of the policy. Others as udfs.redaction.counts.Counts has them.
    """

    first: date
    last: date
    by_kind: dict[str, int]
    by_version: dict[int, int]
    spans: int = 0
    failures: int = 0
    unreadable: int = 0
    unknown_fields: int = 0

    @property
    def values(self) -> int:
        """How many values were replaced."""
        return sum(self.by_kind.values())


async def read_counts(
    pool: Pool, scope: TenantScope, *, days: int, today: date | None = None
) -> Counted:
    """Return what was done in the last days, today among them. days: from 1 to DAYS_MAX."""
    last = today or _utc_now().date()
    first = last - timedelta(days=days - 1)
    by_kind: Counter[str] = Counter()
    by_version: Counter[int] = Counter()
    others: Counter[str] = Counter()
    async with tenant_transaction(pool, scope) as connection:
        async for row in queries("redaction").counts(connection, first=first, last=last):
            if row["what"] in _NO_KINDS:
                others[row["what"]] += row["count"]
            else:
                by_kind[row["what"]] += row["count"]
                by_version[row["policy_version"]] += row["count"]
    weight = {kind: place for place, kind in enumerate(kinds.BY_WEIGHT)}
    in_order = sorted(by_kind, key=lambda kind: (weight.get(kind, len(weight)), kind))
    return Counted(
        first,
        last,
        {kind: by_kind[kind] for kind in in_order},
        dict(sorted(by_version.items())),
        others[SPANS],
        others[FAILURES],
        others[UNREADABLE],
        others[UNKNOWN_FIELDS],
    )
