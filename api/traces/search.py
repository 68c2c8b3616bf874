"""Finding stored traces by what they hold, how long they took, and what rules said of them.

Conditions are about a trace: one span may fulfil the first of them and another span the second. The
worker notes of each trace it stores what can be asked (`index_trace` in sql/migrations), as it was
redacted; so what is asked for is redacted as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from api.auth.principal import TenantScope
from api.cursors import decode_cursor, encode_cursor, foreign_cursor
from api.database import Connection, Pool, queries, tenant_transaction
from api.problems import ApiError
from api.redaction.redactors import RedactionUnavailable, Redactors
from api.redaction.service import redaction_unavailable
from udfs.redaction.places import Scalar
from udfs.redaction.redactor import Redactor

PAGE_MAX: Final = 200
ATTRIBUTES_MAX: Final = 8
TEXT_MAX: Final = 256
"""Characters of a value that can be asked for: longer ones are not noted."""
COUNTED: Final = 2_000
"""Facets are counted over so many of the newest traces that match."""
FACETS_MAX: Final = 15
_LONGEST_NS: Final = 2**63 - 1
_TRACE_ID_BYTES: Final = 16


class Found(StrEnum):
    """What rules said of a trace. NONE: no signal is about it."""

    VIOLATED = "violated"
    SATISFIED = "satisfied"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not_applicable"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute that some span, its resource or an event has. value: None: any."""

    key: str
    value: str | None = None

    def __str__(self) -> str:
        return self.key if self.value is None else f"{self.key}={self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceFilter:
    """Which traces; what is empty or None asks for all. Times: from inclusive, to exclusive.

    operation: the name of a span, of that service if one is asked for. Durations, in nanoseconds,
    are inclusive. rule_id: whose verdict; with no verdict, that it said something.
    """

    service: str = ""
    operation: str = ""
    attributes: tuple[Attribute, ...] = ()
    min_ns: int | None = None
    max_ns: int | None = None
    failed: bool = False
    found: Found | None = None
    rule_id: str = ""
    from_at: datetime | None = None
    to_at: datetime | None = None

    def check(self) -> None:
        """Raise ApiError 400 for a range that is the wrong way round."""
        if self.from_at and self.to_at and self.from_at > self.to_at:
            raise ApiError(400, "request.range", "`from` lies after `to`.")
        if self.min_ns is not None and self.max_ns is not None and self.min_ns > self.max_ns:
            raise ApiError(400, "request.range", "The least duration is longer than the greatest.")


@dataclass(frozen=True, slots=True)
class Judged:
    """What a rule said of a trace."""

    signal_id: str
    rule_id: str
    rule_name: str
    severity: str
    verdict: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTrace:
    """A trace as a list tells of it. whole: false if the log no longer held all of it."""

    trace_id: str
    root_name: str
    root_service: str
    services: tuple[str, ...]
    span_count: int
    error_count: int
    duration_ns: int
    started_at: datetime
    whole: bool
    verdicts: tuple[Judged, ...]


@dataclass(frozen=True, slots=True)
class Facet:
    """A service or an operation, and in how many of the counted traces it is."""

    name: str
    trace_count: int


@dataclass(frozen=True, slots=True)
class Facets:
    """What the newest matching traces hold. more: others match that were not counted."""

    counted: int
    more: bool
    services: tuple[Facet, ...]
    operations: tuple[Facet, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know about what was asked for. about: the attribute, as it was asked."""

    about: str
    text: str


@dataclass(frozen=True, slots=True)
class TracePage:
    """One page, newest first. facets: None where they were not asked for."""

    items: tuple[StoredTrace, ...]
    next_cursor: str | None
    facets: Facets | None
    notes: tuple[Note, ...]


async def search_traces(
    pool: Pool,
    redactors: Redactors,
    scope: TenantScope,
    chosen: TraceFilter,
    *,
    cursor: str | None = None,
    limit: int = 50,
    with_facets: bool = True,
) -> TracePage:
    """Return one page of stored traces, newest first by when they began, then id.

    Raises ApiError 400 for a cursor that is none, 503 where nobody can tell how what is asked for
    stands in spans.
    """
    place = _place(cursor) if cursor else (None, None)
    terms, notes = await _terms(redactors, scope, chosen)
    async with tenant_transaction(pool, scope) as connection:
        if terms:
            kinds, keys, values = (list(column) for column in zip(*terms, strict=True))
            await queries("trace_search").ask_for(connection, kinds=kinds, keys=keys, values=values)
        wanted = COUNTED if with_facets and not cursor else limit
        ids = await _matching(connection, chosen, place, limit=max(wanted, limit) + 1)
        facets = None
        if with_facets:
            all_ids = ids
            if cursor:
                all_ids = await _matching(connection, chosen, (None, None), limit=COUNTED + 1)
            facets = await _facets(connection, all_ids)
        items = await _listed(connection, ids[:limit])
    more = len(ids) > limit
    after = encode_cursor(items[-1].started_at, items[-1].trace_id) if more and items else None
    return TracePage(items, after, facets, notes)


def read_attribute(text: str) -> Attribute:
    """Return the attribute that `key=value` or `key` asks for. Raises ApiError 400."""
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not key:
        raise ApiError(
            400, "trace.attribute", f"Ask for an attribute as key=value or key, not {text!r}."
        )
    if len(value) > TEXT_MAX or len(key) > TEXT_MAX:
        raise ApiError(
            400,
            "trace.attribute",
            f"Keys and values of more than {TEXT_MAX} characters are not searched.",
        )
    return Attribute(key, value if equals else None)


# ------------------------------------------------------------------ what is asked for


_Term = tuple[str, str, str]
"""Kind, key and value, as `trace_term` in sql/migrations reads them."""


async def _terms(
    redactors: Redactors, scope: TenantScope, chosen: TraceFilter
) -> tuple[list[_Term], tuple[Note, ...]]:
    """Return what a trace must hold, as redaction leaves it, and what is to be said of that."""
    terms: list[_Term] = [("error", "", "")] if chosen.failed else []
    if not (chosen.service or chosen.operation or chosen.attributes):
        return terms, ()
    try:
        redactor = (await redactors.of(scope.tenant_id)).redactor
    except RedactionUnavailable as error:
        raise redaction_unavailable() from error
    service = redactor.attribute("service.name", chosen.service) if chosen.service else ""
    if chosen.operation:
        terms.append(("operation", service, redactor.text(chosen.operation)))
    elif service:
        terms.append(("service", "", service))
    notes = []
    for one in chosen.attributes:
        if one.value is None:
            terms.append(("key", one.key, ""))
            continue
        stored, equal = as_stored(redactor, one.key, one.value)
        terms.append(("attribute", one.key, stored))
        if not equal:
            notes.append(Note(str(one), f"Redaction makes other values of {one.key} the same."))
    return terms, tuple(notes)


def as_stored(redactor: Redactor, key: str, text: str) -> tuple[str, bool]:
    """Return how a value that was typed stands in spans, and whether others do not stand alike."""
    for value in (text, _number(text)):
        if value is not None and (after := redactor.comparand(key, value)) != value:
            return _spelled(after), redactor.keeps_equality(key, value)
    return text, True


def _number(text: str) -> Scalar | None:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def _spelled(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# ------------------------------------------------------------------ what is found


async def _matching(
    connection: Connection,
    chosen: TraceFilter,
    place: tuple[datetime | None, bytes | None],
    *,
    limit: int,
) -> list[bytes]:
    asked: dict[str, Any] = {
        "min_ns": _bounded(chosen.min_ns),
        "max_ns": _bounded(chosen.max_ns),
        "from_at": chosen.from_at,
        "to_at": chosen.to_at,
        "before_at": place[0],
        "before_id": place[1],
        "limit": limit,
    }
    found = queries("trace_search")
    if chosen.found is Found.NONE:
        rows = found.unjudged(connection, **asked)
    elif chosen.found or chosen.rule_id:
        verdict = chosen.found.value if chosen.found else None
        rows = found.judged(connection, verdict=verdict, rule_id=chosen.rule_id or None, **asked)
    else:
        rows = found.newest(connection, **asked)
    return [bytes(row["trace_id"]) async for row in rows]


def _bounded(ns: int | None) -> int | None:
    return None if ns is None else max(0, min(ns, _LONGEST_NS))


async def _listed(connection: Connection, ids: Sequence[bytes]) -> tuple[StoredTrace, ...]:
    if not ids:
        return ()
    verdicts: dict[bytes, list[Judged]] = {}
    async for row in queries("trace_search").signals_of(connection, trace_ids=list(ids)):
        verdicts.setdefault(bytes(row["trace_id"]), []).append(_judged(row))
    rows = queries("trace_search").listed(connection, trace_ids=list(ids))
    return tuple([_stored(row, verdicts.get(bytes(row["trace_id"]), ())) async for row in rows])


def _judged(row: Mapping[str, Any]) -> Judged:
    return Judged(
        signal_id=bytes(row["id"]).hex(),
        rule_id=row["rule_id"],
        rule_name=row["rule_name"],
        severity=row["severity"],
        verdict=row["verdict"],
        status=row["status"],
    )


def _stored(row: Mapping[str, Any], verdicts: Sequence[Judged]) -> StoredTrace:
    return StoredTrace(
        trace_id=bytes(row["trace_id"]).hex(),
        root_name=row["root_name"],
        root_service=row["root_service"],
        services=tuple(row["services"]),
        span_count=row["span_count"],
        error_count=row["error_count"],
        duration_ns=row["duration_ns"],
        started_at=row["started_at"],
        whole=row["whole"],
        verdicts=tuple(verdicts),
    )


async def _facets(connection: Connection, ids: Sequence[bytes]) -> Facets:
    counted = list(ids[:COUNTED])
    by_kind: dict[str, list[Facet]] = {"service": [], "operation": []}
    rows = queries("trace_search").facets(connection, trace_ids=counted, most=FACETS_MAX)
    async for row in rows:
        by_kind[row["kind"]].append(Facet(row["name"], row["trace_count"]))
    return Facets(
        len(counted),
        len(ids) > COUNTED,
        tuple(by_kind["service"]),
        tuple(by_kind["operation"]),
    )


def _place(cursor: str) -> tuple[datetime, bytes]:
    at, trace_id = decode_cursor(cursor, datetime, str)
    try:
        found = bytes.fromhex(trace_id)
    except ValueError as error:
        raise foreign_cursor() from error
    if len(found) != _TRACE_ID_BYTES:
        raise foreign_cursor()
    return at, found
