"""Asking for backtests, looking at them, and calling them off. Workers do them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.backtests.asking import (
    Against,
    Comparison,
    Side,
    check_range,
    moment,
    read_comparisons,
    side_records,
    with_looked_at,
)
from api.backtests.model import (
    Backtest,
    BacktestPage,
    BacktestState,
    Count,
    Result,
    ResultFilter,
    ResultPage,
)
from api.cursors import decode_cursor, encode_cursor
from api.database import Connection, Pool, queries, tenant_transaction
from api.kafka.log_times import LogTimes, LogTimesUnavailable, earliest_start_ms
from api.problems import ApiError, not_found, unavailable
from api.redaction.redactors import Redactors
from api.rules.model import Rule
from api.rules.redacted import fit_all
from api.tenants.settings import TenantSettings
from udfs.backtest.rules import GivenRules, RuleRefused
from udfs.backtest.window import reading_around_ms, reading_before_ms
from udfs.rulebook import LifeSettings

PAGE_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRequest:
    """What somebody asks for, as it was written."""

    rules: Sequence[Mapping[str, Any]]
    from_text: str = "1h"
    to_text: str = "now"
    against: Against = "live"


async def create_backtest(
    pool: Pool,
    scope: TenantScope,
    request: BacktestRequest,
    *,
    redactors: Redactors,
    log_times: LogTimes,
    now: datetime,
    hours_max: int,
) -> Backtest:
    """Queue a backtest.

    Raises ApiError 400 for a bad range or rule, 404 for a rule that is not there, 409 while another
    one of the tenant is not over, 422 with problems of rules or for a range that has expired,
    503 if Kafka does not answer.
    """
    from_at = moment(request.from_text, now=now, field="from")
    to_at = moment(request.to_text, now=now, field="to")
    check_range(from_at, to_at, now=now, hours_max=hours_max)

    async def saved(rule_id: str, version: int | None) -> Rule | None:
        return await _saved(pool, scope, rule_id, version)

    async def fitted(sides: Sequence[Side]) -> list[Side]:
        """Judge as on redacted spans, since those are what is read again."""
        definitions = await fit_all(redactors, scope, [side.definition for side in sides])
        return [replace(s, definition=d) for s, d in zip(sides, definitions, strict=True)]

    comparisons = await read_comparisons(request.rules, request.against, saved=saved)
    now_sides = await fitted([comparison.now for comparison in comparisons])
    was_sides = await fitted([comparison.was for comparison in comparisons if comparison.was])
    before = {side.definition.id: side for side in was_sides}
    comparisons = [Comparison(side, before.get(side.definition.id)) for side in now_sides]
    records = await asyncio.to_thread(
        _Records.of,
        await fitted(await with_looked_at(now_sides, saved=saved)),
        await fitted(await with_looked_at(was_sides, saved=saved, only_in_force=True)),
        tenant_id=scope.tenant_id,
    )
    settings = await _life_settings(pool, scope)
    before_ms = await asyncio.to_thread(records.before_ms, settings)
    await _refuse_expired(from_at, before_ms=before_ms, log_times=log_times)
    backtest_id = uuid4()
    await _insert(pool, scope, backtest_id, from_at, to_at, comparisons, records)
    return await get_backtest(pool, scope, backtest_id)


async def get_backtest(pool: Pool, scope: TenantScope, backtest_id: UUID) -> Backtest:
    """Return a backtest with what is known so far. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        found = await _backtests(connection, id=backtest_id, limit=1)
    if not found:
        raise not_found("backtest")
    return found[0]


async def list_backtests(
    pool: Pool,
    scope: TenantScope,
    *,
    rule_id: str | None = None,
    cursor: str | None = None,
    limit: int = 20,
) -> BacktestPage:
    """Return a page of backtests, newest first. Raises ApiError 400 for a bad cursor."""
    before_at, before_id = decode_cursor(cursor, str, str) if cursor else (None, None)
    async with tenant_transaction(pool, scope) as connection:
        found = await _backtests(
            connection, rule_id=rule_id, before_at=before_at, before_id=before_id, limit=limit + 1
        )
    items = tuple(found[:limit])
    if len(found) <= limit:
        return BacktestPage(items, None)
    last = items[-1]
    return BacktestPage(items, encode_cursor(last.created_at.isoformat(), str(last.id)))


async def cancel_backtest(pool: Pool, scope: TenantScope, backtest_id: UUID) -> Backtest:
    """Call a backtest off; one that is over stays as it is. Raises ApiError 404.

    It is `cancelling` until the worker that has a part of it in hand has let go.
    """
    async with tenant_transaction(pool, scope) as connection:
        if await queries("backtests").cancel(connection, id=backtest_id):
            await record(connection, scope, "backtest.cancelled", f"backtest:{backtest_id}")
    return await get_backtest(pool, scope, backtest_id)


async def list_results(
    pool: Pool,
    scope: TenantScope,
    backtest_id: UUID,
    wanted: ResultFilter,
    *,
    explained: bool = False,
    cursor: str | None = None,
    limit: int = 50,
) -> ResultPage:
    """Return a page of results in the order in which traces began. Raises ApiError 400, 404."""
    after = decode_cursor(cursor, str, str, str) if cursor else (None, None, None)
    async with tenant_transaction(pool, scope) as connection:
        if not await _backtests(connection, id=backtest_id, limit=1):
            raise not_found("backtest")
        rows = queries("backtests").results(
            connection,
            id=backtest_id,
            rule_id=wanted.rule_id,
            was=wanted.was,
            now=wanted.now,
            changed=wanted.changed,
            explained=explained,
            after_at=after[0],
            after_trace=_trace_bytes(after[1]),
            after_rule=after[2],
            limit=limit + 1,
        )
        found = [Result.from_row(row) async for row in rows]
    items = tuple(found[:limit])
    if len(found) <= limit:
        return ResultPage(items, None)
    last = items[-1]
    cursor = encode_cursor(last.begin_at.isoformat(), last.trace_id, last.rule_id)
    return ResultPage(items, cursor)


@dataclass(frozen=True, slots=True)
class _Records:
    """Both sides as records of the rules log."""

    tenant: str
    now: list[bytes]
    was: list[bytes]

    @classmethod
    def of(cls, now: Sequence[Side], was: Sequence[Side], *, tenant_id: UUID) -> _Records:
        return cls(
            str(tenant_id),
            side_records(now, tenant_id=tenant_id),
            side_records(was, tenant_id=tenant_id),
        )

    def before_ms(self, settings: LifeSettings) -> int:
        """Return how much is read before the range. Raises ApiError 422 for a rule too new."""
        try:
            sides = [
                GivenRules(records, (), tenant=self.tenant) for records in (self.now, self.was)
            ]
        except RuleRefused as error:
            raise ApiError(422, "backtest.rules", str(error)) from error
        around_ms = max(reading_around_ms([settings], side.rules) for side in sides)
        return around_ms + max(reading_before_ms([settings], side.many) for side in sides)


async def _insert(
    pool: Pool,
    scope: TenantScope,
    backtest_id: UUID,
    from_at: datetime,
    to_at: datetime,
    comparisons: Sequence[Comparison],
    records: _Records,
) -> None:
    try:
        async with tenant_transaction(pool, scope) as connection:
            await queries("backtests").insert(
                connection,
                id=backtest_id,
                requested_by=scope.actor,
                from_at=from_at,
                to_at=to_at,
                rules=Jsonb([comparison.shown.to_dict() for comparison in comparisons]),
                now_records=records.now,
                was_records=records.was,
            )
            await record(connection, scope, "backtest.created", f"backtest:{backtest_id}")
    except UniqueViolation as error:
        async with tenant_transaction(pool, scope) as connection:
            running = await queries("backtests").in_hand(connection)
        raise ApiError(
            409,
            "backtest.running",
            "Another backtest of this tenant is not over. Wait for it, or cancel it.",
            running=str(running) if running else None,
        ) from error


async def _refuse_expired(from_at: datetime, *, before_ms: int, log_times: LogTimes) -> None:
    try:
        extents = await asyncio.to_thread(log_times.extents)
    except LogTimesUnavailable as error:
        raise unavailable("kafka.unavailable", "Kafka does not answer. Try again.") from error
    earliest_ms = earliest_start_ms(extents, around_ms=before_ms)
    if earliest_ms is None or from_at.timestamp() * 1000 >= earliest_ms:
        return
    earliest_at = datetime.fromtimestamp(-(-earliest_ms // 1000), from_at.tzinfo)
    raise ApiError(
        422,
        "backtest.expired",
        f"The range begins too early: the earliest time possible is "
        f"{earliest_at.isoformat().replace('+00:00', 'Z')}. The spans log begins "
        f"{before_ms // 60_000} min before that, and what came then matters to the range.",
        earliest=earliest_at.isoformat(),
    )


async def _saved(pool: Pool, scope: TenantScope, rule_id: str, version: int | None) -> Rule | None:
    async with tenant_transaction(pool, scope) as connection:
        if version is None:
            row = await queries("rules").current(connection, id=rule_id)
            return Rule.from_row(row) if row and not row["deleted"] else None
        rows = queries("rules").versions(connection, id=rule_id, version=version)
        return next(iter([Rule.from_row(row) async for row in rows]), None)


async def _life_settings(pool: Pool, scope: TenantScope) -> LifeSettings:
    async with tenant_transaction(pool, scope) as connection:
        row = await queries("tenants").tenant_by_id(connection, id=scope.tenant_id)
    settings = TenantSettings.from_dict(row["settings"])
    return LifeSettings(
        settle_ms=settings.settle_ms,
        patience_ms=settings.patience_ms,
        max_life_ms=settings.max_life_ms,
        lateness_ms=settings.lateness_ms,
        span_sampled=settings.span_sampled,
    )


async def _backtests(connection: Connection, **wanted: Any) -> list[Backtest]:
    asked = {"id": None, "rule_id": None, "before_at": None, "before_id": None, **wanted}
    rows = [row async for row in queries("backtests").page(connection, **asked)]
    counts: dict[UUID, list[Count]] = {row["id"]: [] for row in rows}
    ids = [row["id"] for row in rows if BacktestState(row["state"]) is not BacktestState.QUEUED]
    async for count in queries("backtests").counts(connection, ids=ids):
        counts[count["backtest_id"]].append(
            Count(count["rule_id"], count["was"], count["now"], count["trace_count"])
        )
    return [Backtest.from_row(row, counts[row["id"]]) for row in rows]


def _trace_bytes(text: object) -> bytes | None:
    if text is None:
        return None
    try:
        return bytes.fromhex(str(text))
    except ValueError as error:
        raise ApiError(
            400, "request.cursor", "The cursor is none that this server gave out."
        ) from error
