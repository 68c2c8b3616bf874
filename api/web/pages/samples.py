"""Sample traces: the list, one of them, and rules tried on it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, File, Form, Path, Query, Request, Response, UploadFile
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.bodies import refuse_misshapen
from api.problems import ApiError, forbidden
from api.rules.service import every_rule, get_rule
from api.samples.judging import Said
from api.samples.library import library
from api.samples.service import About, Added
from api.services import services_of
from api.traces.answers import WITHOUT_NUL
from api.web.pages.typed import lines_of
from api.web.render import render
from api.web.views.samples import SampleForm, fits, sample_list, sample_page, split_tags
from api.web.views.words import Message, bad, good

router = APIRouter(include_in_schema=False, prefix="/samples")

PAGE_SIZE: Final = 50
Reader = Annotated[Principal, Depends(require(Permission.RULES_TEST))]
Writer = Annotated[Principal, Depends(require(Permission.RULES_WRITE))]
SampleId = Annotated[str, Path(max_length=100, pattern=WITHOUT_NUL)]
Line = Annotated[str, Form(max_length=1_000)]
Text = Annotated[str, Form(max_length=1_000_000)]
_DONE: Final = {
    "added": "The sample is kept, as redaction left it.",
    "changed": "Changed.",
    "deleted": "The sample is deleted.",
}


@router.get("")
async def samples(
    request: Request,
    who: Reader,
    tag: Annotated[str, Query(max_length=50, pattern=WITHOUT_NUL)] = "",
    text: Annotated[str, Query(alias="q", max_length=200, pattern=WITHOUT_NUL)] = "",
    cursor: Annotated[str, Query(max_length=200)] = "",
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show the samples. done: what a form has just done."""
    message = good(_DONE[done]) if done in _DONE else None
    return await _list(request, who, tag=tag, text=text.strip(), cursor=cursor, message=message)


@router.post("")
async def add(
    request: Request,
    who: Writer,
    name: Line = "",
    description: Annotated[str, Form(max_length=10_000)] = "",
    tags: Line = "",
    text: Text = "",
    trace_id: Line = "",
    file: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """Keep a sample: of a file, of what was pasted, or of a stored trace."""
    services = services_of(request)
    form = SampleForm(name, description, tags, text, open=True)
    try:
        about = About(name=name, description=description, tags=split_tags(tags))
        added = await _added(services.samples, who, about, text=text, file=file, trace_id=trace_id)
    except ApiError as error:
        if error.status not in (400, 409, 413, 422):
            raise
        told = bad(error.detail)
        return await _list(request, who, form=form, message=told, status=error.status)
    return RedirectResponse(f"/samples/{added.sample.id}?done=added", 303)


@router.get("/{sample_id}")
async def sample(
    request: Request,
    who: Reader,
    sample_id: SampleId,
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show one sample. done: what a form has just done."""
    message = good(_DONE[done]) if done in _DONE else None
    return await _sample(request, who, sample_id, message=message)


@router.post("/{sample_id}")
async def change(
    request: Request,
    who: Writer,
    sample_id: SampleId,
    version: Annotated[int, Form()] = 0,
    name: Line = "",
    description: Annotated[str, Form(max_length=10_000)] = "",
    tags: Line = "",
) -> Response:
    """Say something else of a sample."""
    try:
        about = About(name=name, description=description, tags=split_tags(tags))
        await services_of(request).samples.change(
            who.scope, sample_id, about, version=version or None
        )
    except ApiError as error:
        if error.status not in (400, 409):
            raise
        return await _sample(
            request, who, sample_id, message=bad(error.detail), status=error.status
        )
    return RedirectResponse(f"/samples/{sample_id}?done=changed", 303)


@router.post("/{sample_id}/delete")
async def delete(request: Request, who: Writer, sample_id: SampleId) -> Response:
    """Delete a sample."""
    try:
        await services_of(request).samples.delete(who.scope, sample_id)
    except ApiError as error:
        if error.status != 409:
            raise
        return await _sample(request, who, sample_id, message=bad(error.detail), status=409)
    return RedirectResponse("/samples?done=deleted", 303)


@router.post("/{sample_id}/trial")
async def trial(
    request: Request,
    who: Reader,
    sample_id: SampleId,
    rule: Annotated[str, Form(max_length=100_000)] = "",
    rule_id: Annotated[str, Form(max_length=255)] = "",
) -> Response:
    """Show what a rule says of a sample: one that is saved, or a text."""
    services = services_of(request)
    text = lines_of(rule)
    if rule_id:
        text = (await get_rule(services.pool, who.scope, rule_id)).text
    found = await services.samples.read(who.scope, sample_id)
    try:
        said = await services.judge.say(who.scope, text, found)
    except ApiError as error:
        if error.status not in (400, 422):
            raise
        told = bad(error.detail)
        return await _sample(request, who, sample_id, text=text, message=told, status=error.status)
    return await _sample(request, who, sample_id, rule_id=rule_id, text=text, said=said)


async def _added(
    samples: Any, who: Principal, about: About, *, text: str, file: UploadFile | None, trace_id: str
) -> Added:
    if trace_id:
        if not who.may(Permission.TRACES_READ):
            raise forbidden(Permission.TRACES_READ)
        added: Added = await samples.copy_trace(who.scope, about, trace_id)
        return added
    body = await file.read() if file is not None and file.size else text.encode()
    if not body.strip():
        raise ApiError(400, "sample.empty", "Choose a file, or paste OTLP/JSON.")
    try:
        refuse_misshapen(body)
        document = json.loads(body)
    except HTTPException as error:
        raise ApiError(error.status_code, "sample.too_large", error.detail) from error
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "sample.malformed", f"This is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise ApiError(400, "sample.malformed", "An OTLP/JSON document is an object.")
    kept: Added = await samples.add(who.scope, about, document)
    return kept


async def _list(
    request: Request,
    who: Principal,
    *,
    tag: str = "",
    text: str = "",
    cursor: str = "",
    form: SampleForm = SampleForm(),  # noqa: B008 - nothing can change it
    message: Message | None = None,
    status: int = 200,
) -> Response:
    services = services_of(request)
    found = await services.samples.page(
        who.scope, tag=tag, text=text, cursor=cursor or None, limit=PAGE_SIZE
    )
    page = sample_list(
        found.items,
        [one for one in library().values() if fits(one, tag=tag, text=text)],
        tag=tag,
        text=text,
        cursor=cursor,
        next_cursor=found.next_cursor,
        tags=await services.samples.tags(who.scope),
        may_write=who.may(Permission.RULES_WRITE),
        form=form,
        message=message,
    )
    return render(request, "samples/list.html", page=page, status=status)


async def _sample(
    request: Request,
    who: Principal,
    sample_id: str,
    *,
    rule_id: str = "",
    text: str = "",
    said: Said | None = None,
    message: Message | None = None,
    status: int = 200,
) -> Response:
    services = services_of(request)
    found = await services.samples.read(who.scope, sample_id)
    rules = await every_rule(services.pool, who.scope)
    page = sample_page(
        found,
        rules={rule.id: str(rule.object.get("name") or rule.id) for rule in rules},
        rule_id=rule_id,
        rule_text=text,
        said=said,
        may_write=who.may(Permission.RULES_WRITE),
        message=message,
    )
    return render(request, "samples/detail.html", page=page, status=status)
