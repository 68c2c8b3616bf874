"""Traces of very many spans, written fast: as a shop would make them if one order had no end."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Final

import psycopg

from api.auth.principal import TenantScope
from tests.support.tenants import NOON, index_trace

_SERVICES: Final = ("shop", "cart", "payments", "risk", "stock", "mail", "postgres", "gateway")
_NS: Final = 1_000_000
_COLUMNS: Final = (
    "tenant_id, trace_id, ordinal, span_id, parent_span_id, name, service, kind, status,"
    " start_ns, end_ns, attributes, resource"
)


def insert_large_trace(dsn: str, scope: TenantScope, trace_id: str, *, spans: int) -> None:
    """Write the copy of a trace of so many spans. dsn: of the worker's role.

    Some eight spans hang below each, six levels deep on average, and one in 500 failed. The same
    seed gives the same trace. Span ids count from one; the sixth is called payment.charge.
    """
    rng = random.Random(20261127)
    start_ns = int(NOON.timestamp()) * 1_000_000_000
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "insert into trace_copies (tenant_id, trace_id, root_name, root_service, services,"
            " span_count, whole, first_span_at, last_span_at, log_partition, log_first_offset,"
            " log_last_offset) values (%s, %s, 'POST /orders', 'shop', %s, %s, true, %s, %s,"
            " 0, 0, 0)",
            [
                scope.tenant_id,
                bytes.fromhex(trace_id),
                list(_SERVICES),
                spans,
                NOON,
                NOON + timedelta(seconds=spans // 100 + 1),
            ],
        )
        # Rows are not copied into a table with policies.
        connection.execute("create temporary table large (like trace_spans including defaults)")
        statement = f"copy large ({_COLUMNS}) from stdin".encode()
        with connection.cursor().copy(statement) as copy:
            for ordinal in range(spans):
                service = _SERVICES[0 if ordinal == 0 else rng.randrange(len(_SERVICES))]
                begin = start_ns + ordinal * 10 * _NS
                lasts = spans * 10 if ordinal == 0 else rng.randrange(5, 400)
                name = {0: "POST /orders", 5: "payment.charge"}.get(
                    ordinal, f"{service}.step{rng.randrange(40)}"
                )
                attributes = {"order.item": ordinal, "retry": rng.random() < 0.02}
                parent = None
                if ordinal:
                    parent = max(0, ordinal - rng.randrange(1, 16)) // 2 + 1
                copy.write_row(
                    (
                        scope.tenant_id,
                        bytes.fromhex(trace_id),
                        ordinal,
                        (ordinal + 1).to_bytes(8, "big"),
                        parent.to_bytes(8, "big") if parent else None,
                        name,
                        service,
                        "internal",
                        "error" if rng.randrange(500) == 0 else "unset",
                        begin,
                        begin + lasts * _NS,
                        json.dumps(attributes),
                        json.dumps({"service.name": service}),
                    )
                )
        connection.execute(
            f"insert into trace_spans ({_COLUMNS}) select {_COLUMNS} from large".encode()
        )
        index_trace(connection, scope, trace_id)
