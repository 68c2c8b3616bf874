"""Exports of single records: CSV, JSON and JSON lines, streamed from the log in its order.

What no checkpoint covers yet is left to the next export. Rows are read by pages, each a transaction
of its own, so a slow reader holds no connection; the log only grows, so the pages fit together.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog

from api.audit.trail import record as put_on_record
from api.auth.principal import TenantScope
from api.database import Pool, queries, tenant_transaction
from api.evidence.log_keys import LogSigner
from api.evidence.matrix import Matrix
from api.evidence.oscal import Sealed, assessment_results
from api.evidence.reading import key_history_up_to
from api.evidence.search import EvidenceFilter, asked_controls, count
from api.keyring.wiring import Keys
from api.problems import ApiError
from udfs.evidence import exports
from udfs.evidence.canonical import Json
from udfs.evidence.keys import VerifierKey
from udfs.evidence.malformed import Malformed
from udfs.evidence.record_codec import decode_record
from udfs.evidence.table_lines import head_line, table_line
from udfs.keysource.trouble import KeyTrouble

log = structlog.get_logger(__name__)

EXPORT_MAX: Final = 1_000_000
"""Records of one export; a narrower period gets the others."""
PAGE: Final = 2_000
GENERATOR: Final = "betrace"
_PATIENCE_MS: Final = 30_000


class Form(StrEnum):
    """What an export is written in."""

    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


MEDIA_TYPES: Final[Mapping[Form, str]] = {
    Form.CSV: "text/csv; charset=utf-8",
    Form.JSON: "application/json",
    Form.JSONL: "application/x-ndjson",
}


@dataclass(frozen=True, slots=True)
class Export:
    """An export that was asked for: what it is of, and how far."""

    scope: TenantScope
    chosen: EvidenceFilter
    form: Form
    controls: list[str] | None
    head: exports.ExportHead


class Exporter:
    """Writes exports. keys: to sign manifests; None: the manifest says that nothing is signed."""

    def __init__(self, pool: Pool, keys: Keys | None, *, now_ms: Callable[[], int]) -> None:
        self._pool = pool
        self._keys = keys
        self._now_ms = now_ms

    async def begin(self, scope: TenantScope, chosen: EvidenceFilter, form: Form) -> Export:
        """Take an order for an export, and put that on the record. Raises ApiError 422."""
        async with tenant_transaction(self._pool, scope, timeout_ms=_PATIENCE_MS) as connection:
            controls = await asked_controls(connection, chosen)
            found = await count(connection, chosen, controls)
            if found > EXPORT_MAX:
                raise ApiError(
                    422,
                    "evidence.too_many",
                    f"These are {found:,} records, and one export has at most {EXPORT_MAX:,}: "
                    "narrow the period, and export the rest apart.",
                )
            state = await queries("evidence_search").log_head(connection)
            await put_on_record(
                connection,
                scope,
                "evidence.exported",
                format=form.value,
                filters=" ".join(f"{k}={v}" for k, v in query_of(chosen).items() if v)[:300],
            )
        head = exports.ExportHead(
            tenant=str(scope.tenant_id),
            origin=state["origin"] if state else "",
            query=query_of(chosen),
            end=(state["size"] or 0) if state else 0,
            checkpoint=(state["note"] or "") if state else "",
            created_ms=self._now_ms(),
            generator=GENERATOR,
        )
        return Export(scope, chosen, form, controls, head)

    async def write(self, export: Export) -> AsyncIterator[bytes]:
        """Yield the file."""
        if export.form is Form.CSV:
            yield head_line().encode()
            async for line in self._lines(export, EXPORT_MAX):
                yield _table_line(line)
            return
        tally = exports.ExportTally()
        before = exports.JSON_BEGIN if export.form is Form.JSON else b""
        after_each = b"" if export.form is Form.JSON else b"\n"
        async for line in self._lines(export, EXPORT_MAX):
            tally.add(line)
            yield before + line + after_each
            before = b",\n" if export.form is Form.JSON else b""
        if not tally.count:
            yield before
        yield await self._end(export, tally)

    async def _end(self, export: Export, tally: exports.ExportTally) -> bytes:
        manifest = tally.manifest(export.head, complete=tally.count < EXPORT_MAX)
        note = await self._signed(export, manifest)
        if not note:
            manifest = {**manifest, "unsigned": "no key could sign at this moment"}
        if export.form is Form.JSONL:
            return exports.jsonl_end(manifest, note)
        end = exports.json_end(manifest, note)
        return end if tally.count else end.removeprefix(b"\n")

    async def _signed(self, export: Export, manifest: Mapping[str, Json]) -> str:
        """Return the signed note, empty if nothing can sign now."""
        try:
            signer = await self._signer(export)
            if signer is None:
                return ""
            return await asyncio.to_thread(exports.sign_manifest, manifest, signer)
        except KeyTrouble as trouble:
            log.warning("evidence.export_unsigned", cause=str(trouble))
            return ""

    async def _signer(self, export: Export) -> LogSigner | None:
        """Return the newest key that the log itself knows of, None if there is none."""
        tenant, origin = export.scope.tenant_id, export.head.origin
        if self._keys is None or not export.head.end:
            return None
        async with tenant_transaction(self._pool, export.scope) as connection:
            history = await key_history_up_to(connection, export.head.end)
        for one in await self._keys.care.all_of(tenant):
            if one.public_key is None or not history:
                continue
            if str(VerifierKey(origin, one.public_key)) == history[-1].verifier_key:
                return LogSigner(await self._keys.ring.endorser(tenant, one.id))
        return None

    async def _lines(self, export: Export, most: int) -> AsyncIterator[bytes]:
        """Yield the lines of the records in the order of the log, a page in memory at a time."""
        if export.controls == []:
            return
        if export.chosen.text:
            async for line in self._lines_by_text(export, most):
                yield line
            return
        columns = export.chosen.columns() | {"controls": export.controls}
        after, told = -1, 0
        while told < most:
            async with tenant_transaction(
                self._pool, export.scope, timeout_ms=_PATIENCE_MS
            ) as connection:
                rows = queries("evidence_search").export_page(
                    connection,
                    **columns,
                    service=export.chosen.service or None,
                    after=after,
                    end=export.head.end,
                    limit=min(PAGE, most - told),
                )
                page = [(row["seq"], bytes(row["line"])) async for row in rows]
            for after, line in page:  # noqa: B007 - the last place is where the next page begins
                yield line
            told += len(page)
            if len(page) < PAGE:
                return

    async def _lines_by_text(self, export: Export, most: int) -> AsyncIterator[bytes]:
        """Yield the lines of the records that say some words, in the order of the log.

        Their places are read at once, 8 bytes each: they stand in the order of time.
        """
        columns = export.chosen.columns_of_text() | {"controls": export.controls}
        async with tenant_transaction(
            self._pool, export.scope, timeout_ms=_PATIENCE_MS
        ) as connection:
            rows = queries("evidence_search").numbers_by_text(
                connection, **columns, end=export.head.end, limit=most
            )
            seqs = array("q", [row["seq"] async for row in rows])
        for first in range(0, len(seqs), PAGE):
            async with tenant_transaction(
                self._pool, export.scope, timeout_ms=_PATIENCE_MS
            ) as connection:
                found = queries("evidence_search").lines(
                    connection, seqs=list(seqs[first : first + PAGE])
                )
                page = [bytes(row["line"]) async for row in found]
            for line in page:
                yield line


async def export_oscal(pool: Pool, scope: TenantScope, matrix: Matrix) -> bytes:
    """Return the matrix as assessment results, and put on the record that they were taken."""
    async with tenant_transaction(pool, scope) as connection:
        state = await queries("evidence_search").log_head(connection)
        name = await queries("evidence_search").tenant_name(connection)
        await put_on_record(
            connection,
            scope,
            "evidence.exported",
            format="oscal",
            filters=f"framework={matrix.framework} from={matrix.from_day} to={matrix.to_day}",
        )
    sealed = Sealed(
        origin=state["origin"] if state else "",
        size=(state["size"] or 0) if state else 0,
        time_ms=(state["time_ms"] or 0) if state else 0,
        note=(state["note"] or "") if state else "",
    )
    return assessment_results(
        matrix, tenant=str(scope.tenant_id), tenant_name=name or "", sealed=sealed
    )


def query_of(chosen: EvidenceFilter) -> dict[str, Json]:
    """Return filters as a manifest tells them."""
    return {
        "control": chosen.control,
        "framework": chosen.framework,
        "from_ms": chosen.from_ms,
        "kinds": [kind.value for kind in chosen.kinds],
        "outcomes": list(chosen.outcomes),
        "rule": chosen.rule,
        "service": chosen.service,
        "to_ms": chosen.to_ms,
        **({"text": chosen.text} if chosen.text else {}),
    }


def _table_line(line: bytes) -> bytes:
    record = decode_record(line)
    if isinstance(record, Malformed):
        return f'"a record cannot be read: {record}"\r\n'.replace('"', "'").encode()
    return table_line(record).encode()
