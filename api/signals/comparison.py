"""A trace that kept a signal's promise beside the one that broke it.

Candidates are the newest stored traces with the same root of which the rule raised nothing; the
evaluator says which of them kept the promise, so that one to which it does not apply is not taken
for an example. Nothing is fetched from the log: where no such trace is stored, there is none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import dsl
from api.auth.principal import TenantScope
from api.database import Pool, queries, tenant_transaction
from api.signals.service import parse_signal_id, trace_of_signal
from api.traces.difference import Difference, difference
from api.traces.judged import dsl_span
from api.traces.layouts import Layouts
from api.traces.service import Span, spans_of
from dsl.judging import Moment

CANDIDATES: Final = 8
SPANS_MAX: Final = 2_000
"""Of a candidate: judging larger ones takes too long for a page."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """trace_id: of the trace that kept the promise, empty if none is stored. tried: how many."""

    trace_id: str
    tried: int
    difference: Difference | None


async def compare(pool: Pool, layouts: Layouts, scope: TenantScope, signal_id: str) -> Comparison:
    """Return a stored trace that kept the promise, and how the signal's differs from it.

    Raises ApiError 404 for no such signal, one without a trace, or one whose trace is not copied.
    """
    trace_id, _, rule_text = await trace_of_signal(pool, scope, signal_id)
    this = await layouts.layout(scope, trace_id)
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("signals").alike_traces(
            connection, id=parse_signal_id(signal_id), spans_max=SPANS_MAX, limit=CANDIDATES
        )
        candidates = [bytes(row["trace_id"]) async for row in rows]
    for tried, candidate in enumerate(candidates, 1):
        async with tenant_transaction(pool, scope) as connection:
            spans = await spans_of(connection, candidate)
        if await asyncio.to_thread(_keeps, rule_text, spans):
            other = await layouts.layout(scope, candidate.hex())
            told = await asyncio.to_thread(difference, this, other)
            return Comparison(candidate.hex(), tried, told)
    return Comparison("", len(candidates), None)


def _keeps(rule_text: str, spans: Sequence[Span]) -> bool:
    promise = _promise(rule_text)
    if promise is None:
        return False
    judgement = dsl.judge_spans(promise, [dsl_span(span) for span in spans], moment=Moment())
    return judgement.verdict is dsl.Verdict.SATISFIED


@lru_cache(maxsize=256)
def _promise(rule_text: str) -> dsl.CompiledRule | None:
    return dsl.check(rule_text).promise
