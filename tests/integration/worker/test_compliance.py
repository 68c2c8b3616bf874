"""What the worker hands over of customers' compliance spans, and what it will not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from api.auth.principal import grant_scope
from api.worker.compliance import ComplianceWriter
from api.worker.database import WorkerConnection
from api.worker.redaction import WorkerRedactors
from api.worker.signals import Written
from tests.integration.worker.world import NOON_MS, OTHER_TENANT, TENANT, Told, rows
from tests.support.policies import insert_redaction
from tests.support.postgres import Database
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration

SAYS = {
    "betrace.compliance.framework": "soc2",
    "betrace.compliance.control": ["CC6.1", "CC7_2"],
    "betrace.compliance.evidence_type": "access_provisioning",
    "betrace.compliance.outcome": "denied",
    "betrace.compliance.grantee": "u-4711",
    "betrace.compliance.note": "asked for by ada@corp.example",
}
TRACE_ID, SPAN_ID = bytes(range(16)), bytes(range(8))


def span(**fields: Any) -> wire.ComplianceSpan:
    of_any = {
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
        "service": "access",
        "operation": "POST /grants",
        "start_ns": (NOON_MS - 20) * 1_000_000,
        "end_ns": (NOON_MS - 10) * 1_000_000,
        "attributes": json.dumps(SAYS),
    }
    return wire.ComplianceSpan(**{**of_any, **fields})


def told(*spans: wire.ComplianceSpan, tenant: str = TENANT, offset: int = 0) -> Told:
    message = wire.ComplianceSpans(tenant=tenant, time_ms=NOON_MS, offset=offset, spans=spans)
    return Told(message.SerializeToString(), topic="betrace.evidence", offset=offset)


@pytest.fixture
def redactors(seeded: Database) -> Iterator[WorkerRedactors]:
    found = WorkerRedactors(seeded.worker, None)
    yield found
    found.close()


@pytest.fixture
def write(redactors: WorkerRedactors, connection: WorkerConnection) -> Callable[..., Written]:
    """Write a batch."""

    def write(*records: Told) -> Written:
        with connection.transaction():
            return ComplianceWriter(redactors.versioned).write(connection, records)

    return write


def waiting(database: Database) -> list[dict[str, Any]]:
    query = (
        "select tenant_id::text as tenant, id, time_ms, controls, outcome, trace_id, payload,"
        " convert_from(head, 'UTF8') as head from evidence_inbox order by tenant_id, position"
    )
    return rows(database.admin, query)


def test_a_span_is_handed_over_with_what_is_personal_apart(
    seeded: Database, write: Callable[..., Written]
) -> None:
    written = write(told(span(left_out=["betrace.compliance.dump"])))

    assert written == Written({"evidence_inbox": 1})
    (row,) = waiting(seeded)
    assert (row["tenant"], row["id"]) == (TENANT, f"{TRACE_ID.hex()}/{SPAN_ID.hex()}")
    assert row["time_ms"] == NOON_MS - 10
    assert row["controls"] == ["soc2.CC6.1", "soc2.CC7.2"]
    assert (row["outcome"], bytes(row["trace_id"])) == ("blocked", TRACE_ID)
    assert json.loads(row["payload"]) == {
        "grantee": "u-4711",
        "note": "asked for by [REDACTED]",
        "left_out": ["betrace.compliance.dump"],
    }
    assert "u-4711" not in row["head"]
    assert '"operation":"POST /grants"' in row["head"]
    assert '"service":"access"' in row["head"]


def test_each_tenant_gets_its_own(seeded: Database, write: Callable[..., Written]) -> None:
    write(told(span()), told(span(), tenant=OTHER_TENANT, offset=1))
    assert {row["tenant"] for row in waiting(seeded)} == {TENANT, OTHER_TENANT}


def test_the_version_of_the_policy_it_was_redacted_by_is_in_the_record(
    seeded: Database, write: Callable[..., Written]
) -> None:
    insert_redaction(seeded.app, grant_scope(UUID(TENANT), actor="test"))
    write(told(span()), told(span(), tenant=OTHER_TENANT, offset=1))
    policies = {row["tenant"]: json.loads(row["head"] + "0}")["policy"] for row in waiting(seeded)}
    assert policies == {TENANT: 1, OTHER_TENANT: 0}


@pytest.mark.parametrize("end_ms", [0, NOON_MS + 3_600_000])
def test_a_clock_that_is_ahead_of_the_brokers_is_not_believed(
    seeded: Database, write: Callable[..., Written], end_ms: int
) -> None:
    write(told(span(end_ns=end_ms * 1_000_000)))
    assert [row["time_ms"] for row in waiting(seeded)] == [NOON_MS]


def test_a_record_that_is_none_of_the_jobs_is_set_aside_and_the_others_are_taken(
    seeded: Database, write: Callable[..., Written]
) -> None:
    written = write(
        Told(b"\xff\xff", offset=1),
        told(span(), tenant="nobody", offset=2),
        told(span(attributes="{}"), offset=3),
        told(span(attributes="{"), offset=4),
        told(span(), offset=5),
    )
    assert [poison.record.offset for poison in written.poison] == [1, 2, 3, 4]
    assert {poison.code for poison in written.poison} == {"evidence.malformed"}
    assert len(waiting(seeded)) == 1
