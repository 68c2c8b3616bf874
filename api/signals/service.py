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
    TRANSITIONS,
    Disposition,
    HistoryEntry,
    Signal,
    SignalFilter,
    SignalPage,
    Status,
)
from api.traces.service import Span, parse_trace_id, spans_of

PAGE_MAX: Final = 1_000
ASSIGNABLE_MAX: Final = 200
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
    cursor: str | None = None,
    limit: int = 50,
) -> SignalPage:
    """Return one page of signals, newest first by occurred_at, then id.

    Pages do not overlap, and none is missed, whatever is added or changed in between.
    Raises ApiError 400 for a cursor that is none.
    """
    before_at, before_id = place_of(cursor) if cursor else (None, None)
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("signals").page(
            connection,
            shown=chosen.shown.value,
            rule_id=chosen.rule_id,
            statuses=_names(chosen.statuses),
            severities=_names(chosen.severities),
            verdicts=_names(chosen.verdicts),
            trace_id=parse_trace_id(chosen.trace_id) if chosen.trace_id else None,
            service=chosen.service,
            from_at=chosen.from_at,
            to_at=chosen.to_at,
            before_at=before_at,
            before_id=before_id,
            limit=limit + 1,
        )
        signals = [Signal.from_row(row) async for row in rows]
    more = len(signals) > limit
    items = tuple(signals[:limit])
    return SignalPage(items, _cursor(items[-1]) if more else None)


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
        assignee_id = await _assignee(connection, change.assignee, current=row["assignee_id"])
        if status is not before:
            _check_transition(before, status, reason=change.reason)
        ending = _ending(change, status)
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


def _check_transition(before: Status, after: Status, *, reason: str | None) -> None:
    allowed = TRANSITIONS[before]
    if after not in allowed:
        raise ApiError(
            409,
            "signal.transition",
            f"A signal that is {before} cannot become {after}.",
            allowed=sorted(allowed),
        )
    if after in NEEDS_REASON and not (reason or "").strip():
        raise ApiError(400, "signal.reason_missing", f"Say why the signal becomes {after}.")


def _ending(change: SignalChange, status: Status) -> tuple[str | None, bool]:
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


async def _assignee(
    connection: Connection, assignee: str | Keep | None, *, current: UUID | None
) -> UUID | None:
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


def _cursor(last: Signal) -> str:
    return encode_cursor(last.occurred_at, last.id)


def place_of(cursor: str) -> tuple[datetime, bytes]:
    at, signal_id = decode_cursor(cursor, datetime, str)
    try:
        return at, bytes.fromhex(signal_id)
    except ValueError as error:
        raise foreign_cursor() from error
