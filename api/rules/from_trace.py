"""A rule out of spans that somebody picked in a stored trace."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from api.auth.principal import TenantScope
from api.problems import ApiError
from api.rules.playground import PlayedTrace, Playground
from dsl.drafting import Draft, Pick, Shape, draft_rule

KEYS_MAX: Final = 20
"""Attributes of one span that a rule asks for."""


async def rule_from_trace(
    playground: Playground,
    scope: TenantScope,
    trace_id: str,
    picks: Mapping[str, Sequence[str]],
    shape: Shape,
) -> Draft:
    """Return a rule about spans of a stored trace, with two tests. Saves nothing.

    picks: by span id in hex the attributes that the rule asks for. Raises ApiError 404 for a trace
    that is not stored or a span that it does not have, 422 where nothing can be promised of them.
    """
    trace = await playground.trace(scope, trace_id)
    draft = await asyncio.to_thread(draft_rule, trace.spans, picked_spans(trace, picks), shape)
    if isinstance(draft, str):
        raise ApiError(422, "rule.no_draft", draft)
    return draft


def picked_spans(trace: PlayedTrace, picks: Mapping[str, Sequence[str]]) -> list[Pick]:
    """Return the picks with their spans. Raises ApiError 404 for an id that no span has."""
    by_id = {span.span_id.hex(): span for span in reversed(trace.spans)}
    found = []
    for span_id, keys in picks.items():
        span = by_id.get(span_id.lower())
        if span is None:
            raise ApiError(404, "trace.no_span", f"The stored trace has no span {span_id[:16]!r}.")
        found.append(Pick(span, tuple(dict.fromkeys(keys))[:KEYS_MAX]))
    return found
