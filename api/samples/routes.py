"""/samples: traces to try rules on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.etags import version_of
from api.problems import forbidden
from api.samples.library import library
from api.samples.schemas import (
    AboutSampleBody,
    AddedSampleBody,
    LibraryBody,
    NewSampleBody,
    SampleBody,
    SamplePageBody,
    SampleWithSpansBody,
)
from api.samples.service import PAGE_MAX, Added
from api.services import Services, services_of
from api.traces.answers import WITHOUT_NUL

router = APIRouter(prefix="/samples", tags=["samples"])

Tester = Annotated[Principal, Depends(require(Permission.RULES_TEST))]
Writer = Annotated[Principal, Depends(require(Permission.RULES_WRITE))]
SampleId = Annotated[
    str, Path(max_length=100, pattern=WITHOUT_NUL, examples=["payment-without-fraud-check"])
]


@router.get("")
async def read_samples(
    request: Request,
    principal: Tester,
    tag: Annotated[str, Query(max_length=50, pattern=WITHOUT_NUL)] = "",
    text: Annotated[
        str,
        Query(
            alias="q", max_length=200, pattern=WITHOUT_NUL, description="In name or description."
        ),
    ] = "",
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> SamplePageBody:
    """List the tenant's own samples, newest first, without their spans."""
    page = await services_of(request).samples.page(
        principal.scope, tag=tag, text=text, cursor=cursor, limit=limit
    )
    return SamplePageBody.model_validate(page)


@router.get("/library")
async def read_library(_: Tester) -> LibraryBody:
    """List the samples that every tenant has, each with a rule that says something of it."""
    return LibraryBody(items=[SampleBody.model_validate(one) for one in library().values()])


@router.post("", status_code=201)
async def add_sample(
    request: Request, response: Response, principal: Writer, body: NewSampleBody
) -> AddedSampleBody:
    """Keep a sample: redacted by the tenant's policy, without its ids, with times from 0 on.

    At most 1 MB, 2,000 spans and 20 traces. 400 for what is no OTLP/JSON, 422 for spans that
    cannot be read, 403 for a stored trace without the permission to read traces.
    """
    added = await _added(services_of(request), principal, body)
    sample = SampleWithSpansBody.model_validate(added.sample)
    response.headers["Location"] = f"{request.url.path.rstrip('/')}/{sample.id}"
    return AddedSampleBody(**sample.model_dump(), replaced=added.replaced)


async def _added(services: Services, principal: Principal, body: NewSampleBody) -> Added:
    samples, about = services.samples, body.about()
    if body.otlp is not None:
        return await samples.add(principal.scope, about, body.otlp)
    if not principal.may(Permission.TRACES_READ):
        raise forbidden(Permission.TRACES_READ)
    if body.signal_id is not None:
        return await samples.copy_signal(principal.scope, about, body.signal_id)
    return await samples.copy_trace(principal.scope, about, body.trace_id or "")


@router.get("/{sample_id}")
async def read_sample(
    request: Request, response: Response, principal: Tester, sample_id: SampleId
) -> SampleWithSpansBody:
    """Return a sample with its spans."""
    sample = await services_of(request).samples.read(principal.scope, sample_id)
    response.headers["ETag"] = f'"{sample.version}"'
    return SampleWithSpansBody.model_validate(sample)


@router.put("/{sample_id}")
async def change_sample(
    request: Request,
    response: Response,
    principal: Writer,
    sample_id: SampleId,
    body: AboutSampleBody,
    if_match: Annotated[str | None, Header()] = None,
) -> SampleWithSpansBody:
    """Change name, description and tags of a sample; its spans stay as they are."""
    sample = await services_of(request).samples.change(
        principal.scope, sample_id, body.about(), version=body.version or version_of(if_match)
    )
    response.headers["ETag"] = f'"{sample.version}"'
    return SampleWithSpansBody.model_validate(sample)


@router.delete("/{sample_id}", status_code=204)
async def delete_sample(request: Request, principal: Writer, sample_id: SampleId) -> None:
    """Delete a sample. 409 for one of the library."""
    await services_of(request).samples.delete(principal.scope, sample_id)
