"""From a trace to a rule: its spans as a list, and the form with the text and two tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Query, Request, Response

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.problems import ApiError, forbidden
from api.rules.from_trace import rule_from_trace
from api.rules.playground import OneTrace
from api.services import services_of
from api.signals.service import get_signal
from api.web.render import render
from api.web.views.explanation import marks_of
from api.web.views.playground import PlayDraft, playground
from api.web.views.rule_form import rule_form
from api.web.views.rule_from_trace import draft_from, from_trace
from api.web.views.words import Message, bad, good
from dsl.drafting import MAX_PICKS, Shape

router = APIRouter(include_in_schema=False, prefix="/traces/{trace_id}/rule")

Writer = Annotated[Principal, Depends(require(Permission.RULES_WRITE))]
_PICKED_MAX: Final = 200
"""Fields of spans and values that are read; a rule takes MAX_PICKS spans."""


@router.get("")
async def pick(
    request: Request,
    who: Writer,
    trace_id: str,
    signal: Annotated[str, Query(max_length=32)] = "",
) -> Response:
    """Show the spans of a trace. signal: whose spans are picked already."""
    picks = await _marked(request, who, signal) if signal else {}
    return await _list(request, who, trace_id, picks=picks, signal_id=signal)


@router.post("")
async def make(
    request: Request,
    who: Writer,
    trace_id: str,
    span: Annotated[list[str] | None, Form()] = None,
    key: Annotated[list[str] | None, Form()] = None,
    shape: Annotated[str, Form(max_length=20)] = Shape.IN_ORDER,
    act: Annotated[str, Form(max_length=20)] = "make",
    q: Annotated[str, Form(max_length=200)] = "",
    signal: Annotated[str, Form(max_length=32)] = "",
) -> Response:
    """Make the rule and show its form, or the list again: other spans of it, or what is wrong."""
    picks = _picks(span or (), key or ())
    if act == "find":
        return await _list(
            request, who, trace_id, picks=picks, shape=shape, query=q, signal_id=signal
        )
    services = services_of(request)
    _refuse_without_traces(who)
    try:
        draft = await rule_from_trace(
            services.playground, who.scope, trace_id, picks, _shape_of(shape)
        )
    except ApiError as error:
        if error.status != 422:
            raise
        return await _list(
            request,
            who,
            trace_id,
            picks=picks,
            shape=shape,
            query=q,
            signal_id=signal,
            message=bad(error.detail),
        )
    fields = draft_from(draft)
    play = PlayDraft(on="one", one=f"/traces/{trace_id}")
    played = await services.playground.play(who.scope, fields.text, OneTrace(trace_id))
    page = rule_form(
        fields,
        play=playground(play, played),
        message=good(
            "A text and two tests, which pass: one keeps the promise, one breaks it. Make them "
            "yours, then save; in shadow the rule alerts nobody."
        ),
    )
    return render(request, "rules/form.html", page=page)


async def _list(
    request: Request,
    who: Principal,
    trace_id: str,
    *,
    picks: Mapping[str, Sequence[str]],
    shape: str = Shape.IN_ORDER,
    query: str = "",
    signal_id: str = "",
    message: Message | None = None,
) -> Response:
    _refuse_without_traces(who)
    services = services_of(request)
    trace = await services.playground.trace(who.scope, trace_id)
    layout = await services.layouts.layout(who.scope, trace_id)
    page = from_trace(
        trace,
        layout,
        picks=picks,
        shape=shape,
        query=query,
        signal_id=signal_id,
        message=message,
    )
    status = 422 if message is not None else 200
    return render(request, "traces/rule.html", page=page, status=status)


def _refuse_without_traces(who: Principal) -> None:
    if not who.may(Permission.TRACES_READ):
        raise forbidden(Permission.TRACES_READ.value)


async def _marked(request: Request, who: Principal, signal_id: str) -> dict[str, tuple[str, ...]]:
    """Return the spans that a signal rests on, as picks."""
    detail = await get_signal(services_of(request).pool, who.scope, signal_id, with_spans=False)
    return dict.fromkeys(list(marks_of(detail.explanation))[:MAX_PICKS], ())


def _picks(spans: Sequence[str], keys: Sequence[str]) -> dict[str, list[str]]:
    """Return the picked spans with the values that are asked of them; a value picks its span."""
    picks: dict[str, list[str]] = {span_id.lower(): [] for span_id in spans[:_PICKED_MAX]}
    for field in keys[:_PICKED_MAX]:
        span_id, _, name = field.partition(" ")
        picks.setdefault(span_id.lower(), []).append(name)
    return picks


def _shape_of(word: str) -> Shape:
    return Shape(word) if word in tuple(Shape) else Shape.IN_ORDER
