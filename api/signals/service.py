"""Lists of signals, one signal with all that explains it, and what people do to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.cursors import decode_cursor, encode_cursor, foreign_cursor
from api.database import Connection, Pool, queries, tenant_transaction
from api.problems import ApiError, not_found, stale
from api.signals.many import explanation_of, signals_of, traces_of
from api.signals.model import (
    DISPOSITIONS,
    NEEDS_REASON,
    NOBODY,
    TRANSITIONS,
    Disposition,
    GroupKey,
    HistoryEntry,
    Severity,
    Signal,
    SignalFilter,
    SignalPage,
    Sort,
    Status,
)
from api.traces.service import Span, parse_trace_id, spans_of

PAGE_MAX: Final = 1_000
ASSIGNABLE_MAX: Final = 200
NO_ONE: Final = UUID(int=0)
"""Stands for the assignee of signals that nobody has."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ID_LENGTH: Final = 32
_HEX: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalDetail:
    """A signal with its rule's text, explanation, history and the spans of its trace.

    explanation: as of revision `explained_revision`; None until the worker has made it.
    trace_state: none, waiting, copied, lost or failed; trace_problem says why.
    """

    signal: Signal
    rule_text: str
    witness_span_ids: tuple[str, ...]
    explanation: dict[str, Any] | None
    explained_revision: int | None
    explain_mismatch: bool
    trace_state: str
    trace_problem: str
    spans: tuple[Span, ...]
    history: tuple[HistoryEntry, ...]
    group: str = ""
    """What signals of its group have in common, in hex; empty until its trace is explained."""
    group_values: Mapping[str, Any] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    """Of the traces and signals that one of a rule over many names: those that can be shown."""


class Keep(StrEnum):
    """The mark of a field that a change leaves alone."""

    AS_IS = "as_is"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalChange:
    """What a person changes. assignee: the address of a member, None for nobody.

    disposition, until_regression: of a status that closes; they may be changed without one.
    """

    status: Status | None = None
    reason: str | None = None
    disposition: Disposition | None = None
    until_regression: bool = False
    assignee: str | Keep | None = Keep.AS_IS
    version: int | None = None


async def list_signals(
    pool: Pool,
    scope: TenantScope,
    chosen: SignalFilter,
    *,
    sort: Sort = Sort.NEWEST,
    cursor: str | None = None,
    limit: int = 50,
) -> SignalPage:
    """Return one page of signals, by default newest first by occurred_at, then id.

    Sorted by time, pages do not overlap, and none is missed, whatever is added or changed in
    between; sorted by status, a signal whose status changes meanwhile changes its place.
    Raises ApiError 400 for a cursor that is none, or of another order.
    """
    stages = _stages(chosen, sort)
    stage, place = _place(cursor, sort)
    signals: list[Signal] = []
    ends: list[int] = []
    async with tenant_transaction(pool, scope) as connection:
        asked = await _asked(connection, chosen)
        while stage < len(stages) and len(signals) <= limit:
            found = await _read_page(
                connection, {**asked, **stages[stage]}, sort, place, limit + 1 - len(signals)
            )
            signals += found
            ends += [stage] * len(found)
            stage, place = stage + 1, None
    if len(signals) <= limit:
        return SignalPage(tuple(signals), None)
    last = signals[limit - 1]
    return SignalPage(tuple(signals[:limit]), _cursor(last, sort, ends[limit - 1]))


async def _read_page(
    connection: Connection,
    asked: Mapping[str, Any],
    sort: Sort,
    place: tuple[datetime, bytes] | None,
    limit: int,
) -> list[Signal]:
    read = queries("signals").page_oldest if sort is Sort.OLDEST else queries("signals").page
    at, signal_id = place or (None, None)
    rows = read(connection, **asked, place_at=at, place_id=signal_id, limit=limit)
    return [Signal.from_row(row) async for row in rows]


def _stages(chosen: SignalFilter, sort: Sort) -> Sequence[Mapping[str, Any]]:
    """Return what narrows a list stretch by stretch, so that an index gives each in order."""
    match sort:
        case Sort.SEVERITY:
            wanted = chosen.severities or tuple(Severity)
            return [one_or_many("severity", "severities", [s]) for s in Severity if s in wanted]
        case Sort.STATUS:
            statuses = chosen.statuses or tuple(Status)
            return [one_or_many("status", "statuses", [s]) for s in Status if s in statuses]
    return [{}]


async def _asked(connection: Connection, chosen: SignalFilter) -> dict[str, Any]:
    """Return the parameters of a page's filters."""
    fingerprints, ungrouped = group_ids(chosen.groups)
    people = await assignee_ids(connection, chosen.assignees)
    return {
        "shown": chosen.shown.value,
        **one_or_many("rule_id", "rule_ids", chosen.rule_ids),
        **one_or_many("status", "statuses", chosen.statuses),
        **one_or_many("severity", "severities", chosen.severities),
        "verdicts": _names(chosen.verdicts),
        "assignee_ids": None if people is None else [one for one in people if one != NO_ONE],
        "nobody": people is not None and NO_ONE in people,
        "tags": list(chosen.tags) or None,
        "group_ids": fingerprints if chosen.groups else None,
        "ungrouped": bool(ungrouped),
        "ungrouped_rules": ungrouped,
        "trace_id": parse_trace_id(chosen.trace_id) if chosen.trace_id else None,
        "service": chosen.service,
        "from_at": chosen.from_at,
        "to_at": chosen.to_at,
    }


def one_or_many(one: str, many: str, values: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of a filter whose only value stands by itself."""
    plain = [str(value) for value in values]
    return {one: plain[0] if len(plain) == 1 else None, many: plain if len(plain) > 1 else None}


def group_ids(groups: Sequence[GroupKey]) -> tuple[list[bytes], list[str]]:
    """Return fingerprints, and the rules whose signals without one are asked for."""
    fingerprints = [bytes.fromhex(group.fingerprint) for group in groups if group.fingerprint]
    return fingerprints, [group.rule_id for group in groups if not group.fingerprint]


async def assignee_ids(connection: Connection, assignees: Sequence[str]) -> list[UUID] | None:
    """Return whose signals are asked for, NO_ONE for those without assignee; None: anybody's.

    Whoever is no member has none.
    """
    if not assignees:
        return None
    emails = [email.lower() for email in assignees if email != NOBODY]
    rows = queries("signals").users_by_email(connection, emails=emails)
    found = [row["id"] async for row in rows] if emails else []
    return [*found, NO_ONE] if NOBODY in assignees else found


async def get_signal(
    pool: Pool, scope: TenantScope, signal_id: str, *, with_spans: bool = True
) -> SignalDetail:
    """Return one signal whole. Opening one puts the copy of its trace first in the queue.

    with_spans: a trace may have very many. Raises ApiError 404.
    """
    async with tenant_transaction(pool, scope) as connection:
        return await _detail(connection, parse_signal_id(signal_id), with_spans=with_spans)


async def trace_of_signal(
    pool: Pool, scope: TenantScope, signal_id: str
) -> tuple[str, Mapping[str, Any] | None, str]:
    """Return trace id, explanation and rule text of a signal.

    Raises ApiError 404 for no such signal, and for one of a rule over many traces, which has none.
    """
    async with tenant_transaction(pool, scope) as connection:
        row = await queries("signals").what_for_rows(connection, id=parse_signal_id(signal_id))
    if row is None:
        raise not_found("signal")
    if row["trace_id"] is None:
        raise not_found("trace")
    return bytes(row["trace_id"]).hex(), row["explanation"], row["rule_text"]


async def assignable_people(pool: Pool, scope: TenantScope) -> tuple[tuple[str, str], ...]:
    """Return addresses and names of whom a signal can be given to."""
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("signals").assignable(connection, limit=ASSIGNABLE_MAX)
        return tuple([(row["email"], row["name"]) async for row in rows])


async def change_signal(
    pool: Pool, scope: TenantScope, signal_id: str, change: SignalChange
) -> SignalDetail:
    """Move a signal through its life cycle, or give it to somebody.

    To ask for what is already so changes nothing. Raises ApiError 404; 409 if the version given is
    not the current one or the status may not follow; 400 if a reason is missing, the assignee is no
    member, or the status does not end so.
    """
    wanted = parse_signal_id(signal_id)
    async with tenant_transaction(pool, scope) as connection:
        row = await queries("signals").lock(connection, id=wanted)
        if row is None:
            raise not_found("signal")
        if change.version not in (None, row["version"]):
            raise stale("signal", current=row["version"])
        before = Status(row["status"])
        status = change.status or before
        assignee_id = await assignee_of(connection, change.assignee, current=row["assignee_id"])
        if status is not before:
            _check_transition(before, status, reason=change.reason)
        ending = ending_of(change, status)
        if change.status is None or (status is before and ending == (None, False)):
            ending = (row["disposition"], row["until_regression"])
        now = (row["assignee_id"], row["disposition"], row["until_regression"])
        if (status, assignee_id, *ending) != (before, *now):
            await queries("signals").change(
                connection,
                id=wanted,
                status=status.value,
                status_reason=row["status_reason"] if status is before else change.reason,
                assignee_id=assignee_id,
                disposition=ending[0],
                until_regression=ending[1],
            )
            await record(
                connection,
                scope,
                "signal.changed",
                f"signal:{wanted.hex()}",
                before=before.value,
                status=status.value,
                assignee=f"user:{assignee_id}" if assignee_id else None,
                disposition=ending[0],
            )
        return await _detail(connection, wanted)


async def count_by_status(pool: Pool, scope: TenantScope) -> dict[Status, int]:
    """Return how many signals that alert have each status."""
    counts = dict.fromkeys(Status, 0)
    async with tenant_transaction(pool, scope) as connection:
        async for row in queries("signals").count_by_status(connection):
            counts[Status(row["status"])] = row["signal_count"]
    return counts


async def signals_by_ids(connection: Connection, ids: Sequence[bytes]) -> dict[str, Signal]:
    """Return the raised signals among the ids."""
    rows = queries("signals").by_ids(connection, ids=list(ids))
    found = [Signal.from_row(row) async for row in rows]
    return {signal.id: signal for signal in found}


def parse_signal_id(text: str) -> bytes:
    """Return the 16 bytes of a signal id. Raises ApiError 404 for what has not its form."""
    lower = text.lower()
    if len(lower) != _ID_LENGTH or not _HEX.issuperset(lower):
        raise not_found("signal")
    return bytes.fromhex(lower)


def check_reason(after: Status, reason: str | None) -> None:
    """Raise ApiError 400 if a status needs a reason and there is none."""
    if after in NEEDS_REASON and not (reason or "").strip():
        raise ApiError(400, "signal.reason_missing", f"Say why the signal becomes {after}.")


def _check_transition(before: Status, after: Status, *, reason: str | None) -> None:
    allowed = TRANSITIONS[before]
    if after not in allowed:
        raise ApiError(
            409,
            "signal.transition",
            f"A signal that is {before} cannot become {after}.",
            allowed=sorted(allowed),
        )
    check_reason(after, reason)


def ending_of(change: SignalChange, status: Status) -> tuple[str | None, bool]:
    """Return disposition and whether it is until a regression. Raises ApiError 400."""
    allowed = DISPOSITIONS.get(status, ())
    if change.disposition is not None and change.disposition not in allowed:
        raise ApiError(
            400,
            "signal.disposition",
            f"A signal that is {status} does not end as {change.disposition}.",
            allowed=sorted(allowed),
        )
    if change.until_regression and status is not Status.RESOLVED:
        raise ApiError(
            400, "signal.until_regression", "Only a resolved signal can wait for a regression."
        )
    return change.disposition and change.disposition.value, change.until_regression


async def assignee_of(
    connection: Connection, assignee: str | Keep | None, *, current: UUID | None
) -> UUID | None:
    """Return who a signal is given to. Raises ApiError 400 for who is no member."""
    if isinstance(assignee, Keep):
        return current
    if assignee is None:
        return None
    found: UUID | None = await queries("signals").member_by_email(
        connection, email=assignee.strip().lower()
    )
    if found is None:
        raise ApiError(400, "signal.assignee", "The assignee is no member of this tenant.")
    return found


async def _detail(
    connection: Connection, signal_id: bytes, *, with_spans: bool = True
) -> SignalDetail:
    row = await queries("signals").detail(connection, id=signal_id)
    if row is None:
        raise not_found("signal")
    if row["many"] is None and row["trace_state"] in ("none", "waiting"):
        await queries("signals").ask_for_trace(connection, id=signal_id)
    history = queries("signals").history(connection, id=signal_id)
    signal = Signal.from_row(row)
    return SignalDetail(
        signal=signal,
        rule_text=row["rule_text"],
        witness_span_ids=tuple(bytes(span_id).hex() for span_id in row["witness_span_ids"]),
        explanation=row["explanation"] if signal.many is None else _explanation(signal, row),
        explained_revision=row["explained_revision"],
        explain_mismatch=row["explain_mismatch"],
        trace_state=row["trace_state"],
        trace_problem=row["trace_problem"],
        spans=(
            await spans_of(connection, bytes(row["trace_id"]))
            if signal.trace_id and with_spans
            else ()
        ),
        history=tuple([HistoryEntry(**entry) async for entry in history]),
        group=bytes(row["group_fingerprint"]).hex() if row["group_fingerprint"] else "",
        group_values=row["group_values"],
        known=await _known(connection, signal),
    )


def _explanation(signal: Signal, row: Mapping[str, Any]) -> dict[str, Any]:
    judged_ns = (signal.judged_at - _EPOCH) // timedelta(microseconds=1) * 1_000
    told = explanation_of(row["rule_text"], signal.many or {}, judged_ns=judged_ns)
    return {**told, "verdict": signal.verdict.value, "reasons": list(signal.reasons)}


async def _known(connection: Connection, signal: Signal) -> frozenset[str]:
    """Return which of the traces that a signal names are copied, and which signals are kept.

    Of signals that were folded there is only a number.
    """
    if signal.many is None:
        return frozenset()
    traces = [bytes.fromhex(trace_id) for trace_id in sorted(traces_of(signal.many))]
    rows = queries("traces").copied(connection, trace_ids=traces)
    copied = frozenset([bytes(row["trace_id"]).hex() async for row in rows])
    named = [bytes.fromhex(signal_id) for signal_id in sorted(signals_of(signal.many))]
    return copied | (await signals_by_ids(connection, named)).keys()


def _names(values: Sequence[StrEnum]) -> list[str] | None:
    return [value.value for value in values] or None


def _cursor(last: Signal, sort: Sort, stage: int) -> str:
    """A cursor of the usual order says no order: so all of them look that were given out before."""
    if sort is Sort.NEWEST:
        return encode_cursor(last.occurred_at, last.id)
    return encode_cursor(sort.value, stage, last.occurred_at, last.id)


def _place(cursor: str | None, sort: Sort) -> tuple[int, tuple[datetime, bytes] | None]:
    """Return the stage to go on in and where in it. Raises ApiError 400."""
    if not cursor:
        return 0, None
    if sort is Sort.NEWEST:
        return 0, place_of(cursor)
    order, stage, at, signal_id = decode_cursor(cursor, str, int, datetime, str)
    if order != sort.value or stage not in range(len(Severity)):
        raise foreign_cursor()
    return stage, _parsed_place(at, signal_id)


def place_of(cursor: str) -> tuple[datetime, bytes]:
    """Return where a list, newest first, goes on. Raises ApiError 400."""
    return _parsed_place(*decode_cursor(cursor, datetime, str))


def _parsed_place(at: datetime, signal_id: str) -> tuple[datetime, bytes]:
    try:
        return at, bytes.fromhex(signal_id)
    except ValueError as error:
        raise foreign_cursor() from error
