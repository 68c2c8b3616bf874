"""Writing the copy of a trace: the whole of it, in place of an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from api.worker.database import WorkerConnection, statement
from api.worker.sweep import Range
from api.worker.trace_copy import FoundSpan, names_of, span_rows


def store_copy(
    connection: WorkerConnection,
    found: Sequence[FoundSpan],
    *,
    tenant: str,
    trace_id: bytes,
    whole: bool,
    first_span_at: datetime,
    last_span_at: datetime,
    read: Range,
    external_roots: bool = False,
    sampled: bool = False,
) -> None:
    """Store a trace inside the caller's transaction, unless a better copy is there.

    found: each span once; nothing is stored without any. read: where the log was looked at.
    external_roots: the trace is over, and may begin outside of what the tenant exports. sampled: no
    signal asks for it.
    """
    key = {"tenant_id": tenant, "trace_id": trace_id}
    connection.execute(statement("lock_trace"), key)
    if not found:
        return
    offsets = [each.offset for each in found]
    stored = connection.execute(
        statement("store_copy"),
        {
            **key,
            **names_of(found, external_roots=external_roots),
            "span_count": len(found),
            "whole": whole,
            "first_span_at": first_span_at,
            "last_span_at": last_span_at,
            "log_partition": read.partition,
            "log_first_offset": min(read.first_offset, *offsets),
            "log_last_offset": max(read.last_offset, *offsets),
            "sampled": sampled,
        },
    )
    if stored.rowcount:
        connection.execute(statement("drop_spans"), key)
        with connection.cursor().copy(statement("copy_spans")) as copy:
            for row in span_rows(found):
                copy.write_row((tenant, trace_id, *row))
        connection.execute(statement("store_spans"))
        connection.execute(statement("index_trace"), key)
