"""What a soak reads from the database is its tenant's alone."""

from __future__ import annotations

import psycopg
import pytest

from api.bench.gauges import open_spans, received_spans
from tests.integration.worker.world import OTHER_TENANT, TENANT, add_tenant
from tests.support.postgres import Database

pytestmark = pytest.mark.integration

MINUTE = """
    insert into stats_minutes (tenant_id, minute, lane, revision, counts, open_before, open_spans)
    values (%s, to_timestamp(%s), %s, 1, jsonb_build_object('received', %s::bigint), 0, %s)
"""


def test_open_spans_are_those_of_the_newest_minute_and_received_ones_of_all(
    database: Database,
) -> None:
    for tenant in (TENANT, OTHER_TENANT):
        add_tenant(database.admin, tenant)
    with psycopg.connect(database.worker) as connection:
        for row in (
            (TENANT, 60, 0, 1_000, 70),
            (TENANT, 120, 0, 900, 50),
            (TENANT, 60, 1, 30, 4),
            (OTHER_TENANT, 120, 0, 7, 6),
        ):
            connection.execute(MINUTE, row)
    found = {
        tenant: (
            open_spans(database.app, tenant=tenant),
            received_spans(database.app, tenant=tenant),
        )
        for tenant in (TENANT, OTHER_TENANT)
    }
    assert found == {TENANT: (54, 1_930), OTHER_TENANT: (6, 7)}
