"""Samples of a tenant: taken in from outside or from a stored trace, listed, changed, deleted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.cursors import decode_cursor, encode_cursor
from api.database import Connection, Pool, queries, tenant_transaction
from api.problems import ApiError, not_found, stale
from api.redaction.redactors import RedactionUnavailable, Redactors
from api.redaction.service import redaction_unavailable
from api.samples.anonymous import anonymous
from api.samples.library import library
from api.samples.model import (
    DESCRIPTION_MAX,
    MAX_SAMPLES,
    NAME_MAX,
    TAG_MAX,
    TAGS_MAX,
    Sample,
)
from api.samples.otlp import redacted_spans, refuse_many, request_of_json, request_of_stored
from api.signals.service import trace_of_signal
from api.tenants.turns import take_turn
from api.traces.service import get_trace
from api.worker.trace_copy import to_json

PAGE_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What people say of a sample. Raises ApiError 400 for what is too long, or no name."""

    name: str
    description: str = ""
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        tags = tuple(dict.fromkeys(tag.strip().lower() for tag in self.tags if tag.strip()))
        object.__setattr__(self, "name", self.name.strip())
        object.__setattr__(self, "description", self.description.strip())
        object.__setattr__(self, "tags", tags)
        if not self.name or len(self.name) > NAME_MAX:
            raise ApiError(
                400, "sample.name", f"A sample has a name of 1 to {NAME_MAX} characters."
            )
        if len(self.description) > DESCRIPTION_MAX:
            raise ApiError(
                400,
                "sample.description",
                f"A description has {DESCRIPTION_MAX:,} characters at most.",
            )
        if len(tags) > TAGS_MAX or any(len(tag) > TAG_MAX for tag in tags):
            raise ApiError(
                400, "sample.tags", f"A sample has {TAGS_MAX} tags of {TAG_MAX} characters at most."
            )


@dataclass(frozen=True, slots=True)
class Added:
    """A sample that was taken in. replaced: how many values redaction replaced in it."""

    sample: Sample
    replaced: int


@dataclass(frozen=True, slots=True)
class SamplePage:
    """One page of a tenant's own samples, newest first."""

    items: tuple[Sample, ...]
    next_cursor: str | None


class Samples:
    """Reads and writes samples."""

    def __init__(self, pool: Pool, redactors: Redactors) -> None:
        self._pool = pool
        self._redactors = redactors

    async def page(
        self,
        scope: TenantScope,
        *,
        tag: str = "",
        text: str = "",
        cursor: str | None = None,
        limit: int = 50,
    ) -> SamplePage:
        """Return a page of the tenant's own samples. Raises ApiError 400 for a foreign cursor."""
        before_at, before_id = decode_cursor(cursor, datetime, UUID) if cursor else (None, None)
        async with tenant_transaction(self._pool, scope) as connection:
            rows = queries("samples").page(
                connection,
                tag=tag or None,
                text=text or None,
                before_at=before_at,
                before_id=before_id,
                limit=limit + 1,
            )
            found = [sample_of_row(row) async for row in rows]
        items = tuple(found[:limit])
        last = items[-1] if len(found) > limit else None
        after = encode_cursor(last.created_at, UUID(last.id)) if last and last.created_at else None
        return SamplePage(items, after)

    async def read(self, scope: TenantScope, sample_id: str) -> Sample:
        """Return a sample with its spans, of the library or an own one. Raises ApiError 404."""
        if (known := library().get(sample_id)) is not None:
            return known
        async with tenant_transaction(self._pool, scope) as connection:
            return await own_sample(connection, sample_id)

    async def add(self, scope: TenantScope, about: About, document: Mapping[str, Any]) -> Added:
        """Keep the spans of an OTLP/JSON document, redacted by the policy of now.

        Raises ApiError: 400 for what is no OTLP/JSON, 422 for what a sample does not hold, 409 for
        one sample too many, 503 where the policy or its key cannot be had.
        """
        request = await asyncio.to_thread(request_of_json, document)
        return await self._keep(scope, about, request, source="upload")

    async def copy_trace(self, scope: TenantScope, about: About, trace_id: str) -> Added:
        """Keep a stored trace, anonymous and redacted once more. Raises ApiError as `add`; 404."""
        trace = await get_trace(self._pool, scope, trace_id)
        refuse_many(len(trace.spans))
        request = await asyncio.to_thread(request_of_stored, trace.spans, trace.trace_id)
        return await self._keep(scope, about, request, source=f"trace:{trace.trace_id}")

    async def copy_signal(self, scope: TenantScope, about: About, signal_id: str) -> Added:
        """Keep the trace of a signal; as `copy_trace`."""
        trace_id, _, _ = await trace_of_signal(self._pool, scope, signal_id)
        return await self.copy_trace(scope, about, trace_id)

    async def change(
        self, scope: TenantScope, sample_id: str, about: About, *, version: int | None = None
    ) -> Sample:
        """Say something else of a sample.

        Raises ApiError 404; 409 if the version is another by now, and for one of the library.
        """
        wanted = _own_id(sample_id)
        said = await self._said(scope, about)
        async with tenant_transaction(self._pool, scope) as connection:
            row = await queries("samples").lock(connection, id=wanted)
            if row is None:
                raise not_found("sample")
            if version not in (None, row["version"]):
                raise stale("sample", current=row["version"])
            await queries("samples").change(connection, id=wanted, **said)
            await record(connection, scope, "sample.changed", f"sample:{wanted}")
            return await own_sample(connection, sample_id)

    async def delete(self, scope: TenantScope, sample_id: str) -> None:
        """Delete a sample. Raises ApiError 404; 409 for one of the library, or that cases use."""
        wanted = _own_id(sample_id)
        async with tenant_transaction(self._pool, scope) as connection:
            if await queries("samples").lock(connection, id=wanted) is None:
                raise not_found("sample")
            if count := await queries("cases").of_sample(connection, sample_id=wanted):
                raise ApiError(
                    409,
                    "sample.in_use",
                    f"{count:,} case{'' if count == 1 else 's'} of rules use the sample: delete "
                    "those first.",
                )
            await queries("samples").delete(connection, id=wanted)
            await record(connection, scope, "sample.deleted", f"sample:{wanted}")

    async def tags(self, scope: TenantScope) -> tuple[str, ...]:
        """Return the tags that own samples have, and those of the library."""
        async with tenant_transaction(self._pool, scope) as connection:
            own = {row["tag"] async for row in queries("samples").tags(connection)}
        return tuple(sorted(own.union(*(sample.tags for sample in library().values()))))

    async def _keep(
        self, scope: TenantScope, about: About, request: bytes, *, source: str
    ) -> Added:
        try:
            tenant = await self._redactors.of(scope.tenant_id)
            spans, replaced = await asyncio.to_thread(redacted_spans, request, tenant.redactor)
            said = _redacted(tenant.redactor.text, about)
            await tenant.settle()
        except RedactionUnavailable as error:
            raise redaction_unavailable() from error
        entries = await asyncio.to_thread(lambda: json.loads(to_json(anonymous(spans))))
        sample_id = uuid4()
        async with tenant_transaction(self._pool, scope) as connection:
            await take_turn(connection)
            if await queries("samples").count(connection) >= MAX_SAMPLES:
                raise ApiError(
                    409,
                    "sample.too_many",
                    f"There are {MAX_SAMPLES:,} samples, and there may be no more: delete some.",
                )
            await queries("samples").insert(
                connection,
                id=sample_id,
                **said,
                spans=Jsonb(entries),
                span_count=len(spans),
                trace_count=len({span.trace_id for span in spans}),
                services=sorted({entry["service"] for entry in entries if "service" in entry}),
                redaction_version=tenant.version,
                created_by=scope.actor,
            )
            await record(
                connection,
                scope,
                "sample.added",
                f"sample:{sample_id}",
                source=source,
                spans=len(spans),
                replaced=replaced,
            )
            return Added(await own_sample(connection, str(sample_id)), replaced)

    async def _said(self, scope: TenantScope, about: About) -> dict[str, Any]:
        try:
            tenant = await self._redactors.of(scope.tenant_id)
            said = _redacted(tenant.redactor.text, about)
            await tenant.settle()
        except RedactionUnavailable as error:
            raise redaction_unavailable() from error
        return said


def _redacted(redact: Any, about: About) -> dict[str, Any]:
    return {
        "name": redact(about.name)[:NAME_MAX],
        "description": redact(about.description)[:DESCRIPTION_MAX],
        "tags": [redact(tag)[:TAG_MAX] for tag in about.tags],
    }


async def own_sample(connection: Connection, sample_id: str) -> Sample:
    """Return a sample of the transaction's tenant, with its spans. Raises ApiError 404."""
    row = await queries("samples").one(connection, id=_uuid(sample_id))
    if row is None:
        raise not_found("sample")
    return sample_of_row(row, spans=row["spans"])


def _own_id(sample_id: str) -> UUID:
    if sample_id in library():
        raise ApiError(
            409,
            "sample.library",
            "Samples of the library are the same for everybody: copy its trace.",
        )
    return _uuid(sample_id)


def _uuid(sample_id: str) -> UUID:
    try:
        return UUID(sample_id)
    except ValueError as error:
        raise not_found("sample") from error


def sample_of_row(row: Mapping[str, Any], *, spans: Sequence[Any] | None = None) -> Sample:
    """Return a tenant's own sample from a row of its table."""
    return Sample(
        id=str(row["id"]),
        name=row["name"],
        description=row["description"],
        tags=tuple(row["tags"]),
        span_count=row["span_count"],
        trace_count=row["trace_count"],
        services=tuple(row["services"]),
        redaction_version=row["redaction_version"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        version=row["version"],
        spans=spans,
    )
