"""Trying a draft at once: on the newest stored traces, on one of them, or on a pasted one.

Nothing is stored. Stored traces are as redaction left them, so they are judged by the text as
redaction leaves it, as the stream does; a pasted trace is judged by the text as it is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import dsl
from api.auth.principal import TenantScope
from api.database import Pool, queries, tenant_transaction
from api.problems import ApiError
from api.redaction.redactors import Redactors
from api.rules.redacted import Redacted, redaction_says
from api.rules.trial import Trials, bounds
from api.signals.service import trace_of_signal
from api.tenants.settings import TenantSettings
from api.traces.judged import dsl_span
from api.traces.service import parse_trace_id, span_of_row
from dsl.documents import read_document
from dsl.life import LifeSettings
from dsl.many.trials import TriedRule
from dsl.suites import arrivals_of
from dsl.traces import TraceError
from dsl.trial import Told, try_on_spans

RECENT_TRACES: Final = 20
RECENT_SPANS: Final = 5_000
"""Of all recent traces together, and so of one: what a person waits for while writing."""
ONE_TRACE_SPANS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Recent:
    """The newest stored traces. count: at most RECENT_TRACES."""

    count: int = RECENT_TRACES


@dataclass(frozen=True, slots=True)
class OneTrace:
    """A stored trace, by its id in hex."""

    trace_id: str


@dataclass(frozen=True, slots=True)
class OfSignal:
    """The stored trace of a signal, by the signal's id in hex."""

    signal_id: str


@dataclass(frozen=True, slots=True)
class Pasted:
    """A text: OTLP/JSON, or a list of spans as in the tests of rules."""

    text: str


On: TypeAlias = Recent | OneTrace | OfSignal | Pasted


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedTrace:
    """A trace that was tried. trace_id: in hex, empty where a pasted one has none.

    stored: there is a page of it. whole: false if the log no longer held all of it.
    """

    trace_id: str
    root_name: str
    root_service: str
    began_at: datetime | None
    spans: tuple[dsl.Span, ...]
    stored: bool = True
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Played:
    """What a try came to.

    verdicts: one for each trace, in their order; of a rule over many traces a single one.
    """

    checked: dsl.Checked
    redacted: Redacted
    traces: tuple[PlayedTrace, ...] = ()
    verdicts: tuple[Told, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the text could be judged."""
        return self.checked.rule is not None and not self.redacted.problems

    @property
    def together(self) -> bool:
        """Whether the rule looks at all traces together."""
        return self.checked.rule is not None and self.checked.promise is None


class Playground:
    """Tries drafts of the people of a tenant."""

    def __init__(self, pool: Pool, redactors: Redactors, trials: Trials) -> None:
        self._pool = pool
        self._redactors = redactors
        self._trials = trials

    async def play(self, scope: TenantScope, text: str, on: On) -> Played:
        """Judge traces by a draft; one that does not check is an answer, and judges nothing.

        Raises ApiError 400 for what is no trace, 404 for one that is not stored, 422 over a limit,
        503 where others try for too long.
        """
        checked = await asyncio.to_thread(dsl.check, text)
        redacted = await redaction_says(self._redactors, scope, checked)
        tried = Played(checked, redacted)
        if not tried.valid:
            return tried
        if isinstance(on, Pasted):
            traces = await asyncio.to_thread(_read_pasted, on.text)
        else:
            traces = await self._stored(scope, on)
            if redacted.text is not None:
                checked = await asyncio.to_thread(dsl.check, redacted.text)
        life = LifeSettings(external_roots=await self._external_roots(scope))
        rule = checked.rule
        assert rule is not None
        verdicts = await self._trials.turn(
            lambda: _judge(TriedRule("", rule, life=life), traces),
        )
        return replace(tried, traces=traces, verdicts=verdicts)

    async def _stored(
        self, scope: TenantScope, on: Recent | OneTrace | OfSignal
    ) -> tuple[PlayedTrace, ...]:
        match on:
            case Recent(count):
                return await self._recent(scope, min(count, RECENT_TRACES))
            case OneTrace(trace_id):
                return (await self.trace(scope, trace_id),)
            case OfSignal(signal_id):
                trace_id, _, _ = await trace_of_signal(self._pool, scope, signal_id)
                return (await self.trace(scope, trace_id),)

    async def trace(self, scope: TenantScope, trace_id: str) -> PlayedTrace:
        """Return a stored trace. Raises ApiError 400 and 404 for its id, 422 if it is too large."""
        wanted = parse_trace_id(trace_id)
        async with tenant_transaction(self._pool, scope) as connection:
            row = await queries("traces").trace(connection, trace_id=wanted)
            if row is None:
                raise ApiError(
                    404,
                    "request.not_found",
                    "This trace is not stored. Copies are kept of traces with signals and of a "
                    "sample of the others: paste it as OTLP/JSON instead.",
                )
            if row["span_count"] > ONE_TRACE_SPANS:
                raise _too_large(row["span_count"])
            rows = queries("traces").spans_of_many(connection, trace_ids=[wanted])
            spans = [_span(row) async for row in rows]
        return _played(row, [span for _, span in spans])

    async def _recent(self, scope: TenantScope, count: int) -> tuple[PlayedTrace, ...]:
        async with tenant_transaction(self._pool, scope) as connection:
            found = queries("traces").recent(
                connection, spans_max=RECENT_SPANS, limit=count, spans_in_all=RECENT_SPANS
            )
            copies = [row async for row in found]
            spans: dict[bytes, list[dsl.Span]] = {bytes(row["trace_id"]): [] for row in copies}
            rows = queries("traces").spans_of_many(connection, trace_ids=list(spans))
            async for row in rows:
                trace_id, span = _span(row)
                spans[trace_id].append(span)
        return tuple(_played(row, spans[bytes(row["trace_id"])]) for row in copies)

    async def _external_roots(self, scope: TenantScope) -> bool:
        async with tenant_transaction(self._pool, scope) as connection:
            settings = await queries("tenants").settings(connection)
        return TenantSettings.from_dict(settings).external_roots


def _judge(rule: TriedRule, traces: Sequence[PlayedTrace]) -> tuple[Told, ...]:
    given = [(trace.trace_id, trace.spans) for trace in traces]
    try:
        return tuple(try_on_spans(rule, given, before=bounds()))
    except TraceError as error:
        raise ApiError(
            400,
            "trial.other_rules",
            f"This rule looks at signals of other rules, which are not tried here: {error}. "
            "Start a backtest of all of them.",
        ) from error


def _span(row: Mapping[str, Any]) -> tuple[bytes, dsl.Span]:
    values = {name: value for name, value in row.items() if name != "trace_id"}
    return bytes(row["trace_id"]), dsl_span(span_of_row(values))


def _played(row: Mapping[str, Any], spans: Sequence[dsl.Span]) -> PlayedTrace:
    return PlayedTrace(
        trace_id=bytes(row["trace_id"]).hex(),
        root_name=row["root_name"],
        root_service=row["root_service"],
        began_at=row["first_span_at"],
        spans=tuple(spans),
        whole=row["whole"],
    )


def _too_large(count: int) -> ApiError:
    return ApiError(
        422,
        "trial.too_large",
        f"The trace has {count:,} spans; {ONE_TRACE_SPANS:,} at most are tried here: start a "
        "backtest.",
    )


# -- pasted traces ---------------------------------------------------------------------------------


def _read_pasted(text: str) -> tuple[PlayedTrace, ...]:
    """Return the traces of a text, in the order of their first spans. Raises ApiError."""
    if not text.strip():
        raise ApiError(400, "trial.trace", "Paste a trace: OTLP/JSON, or a list of spans.")
    kind = "json" if text.lstrip()[0] in "{[" else "yaml"
    document = read_document(text, filename=f"pasted.{kind}")
    if document.problems:
        problem = document.problems[0]
        where = f"line {problem.line}, column {problem.column}"
        raise ApiError(
            400, "trial.trace", f"The trace cannot be read at {where}: {problem.message}."
        )
    try:
        arrivals, _ = arrivals_of(document.values[0] if document.values else [], None)
    except TraceError as error:
        raise ApiError(400, "trial.trace", f"{str(error).rstrip('.')}.") from error
    if len(arrivals) > ONE_TRACE_SPANS:
        raise _too_large(len(arrivals))
    by_id: dict[str, list[dsl.Span]] = {}
    for one in arrivals:
        by_id.setdefault(one.span.trace_id.hex(), []).append(one.span)
    if len(by_id) > RECENT_TRACES:
        raise ApiError(
            422,
            "trial.too_many",
            f"These are spans of {len(by_id):,} traces; {RECENT_TRACES} at most are tried here.",
        )
    return tuple(_pasted(trace_id, spans) for trace_id, spans in by_id.items())


def _pasted(trace_id: str, spans: Sequence[dsl.Span]) -> PlayedTrace:
    first = min(spans, key=lambda span: (bool(span.parent_span_id), span.start_ns))
    start_ns = min(span.start_ns for span in spans)
    return PlayedTrace(
        trace_id=trace_id,
        root_name=first.name,
        root_service=first.service,
        # Lists of spans count from 0; only exported ones say a time of day.
        began_at=_at(start_ns) if start_ns > 10**17 else None,
        spans=tuple(spans),
        stored=False,
    )


def _at(ns: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(ns / 1e9, UTC)
    except (OverflowError, ValueError):
        return None
