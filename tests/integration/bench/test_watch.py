"""The benchmark sees a signal appear when the worker has committed it, and only its tenant's."""

from __future__ import annotations

import time

import pytest

from api.bench.watch import SignalWatch
from api.worker.database import connect
from api.worker.signals import SignalWriter
from tests.integration.worker.world import (
    OTHER_TENANT,
    RULE,
    SATISFIED,
    TENANT,
    a_signal,
    add_rule,
    add_tenant,
    told,
    trace_id,
)
from tests.support.postgres import Database
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration


def write(database: Database, *signals: wire.Signal) -> None:
    with connect(database.worker, name="test") as connection, connection.transaction():
        SignalWriter(copied_at_once=0).write(connection, told(*signals))


def wait_for(watch: SignalWatch, changes: int) -> None:
    end = time.monotonic() + 30
    while watch.count() < changes and time.monotonic() < end:
        time.sleep(0.02)


def test_changes_are_seen_in_order_with_the_time_at_which_they_are_visible(
    database: Database,
) -> None:
    for tenant in (TENANT, OTHER_TENANT):
        add_tenant(database.admin, tenant)
        add_rule(database.admin, tenant=tenant)
    begun_ms = time.time() * 1000
    with SignalWatch(dsn=database.app, tenant=TENANT) as watch:
        watch.wait_until_listening()
        write(database, a_signal(1), a_signal(2, tenant=OTHER_TENANT))
        wait_for(watch, 1)
        withdrawn = a_signal(1, verdict=SATISFIED)
        withdrawn.revision += 16
        write(database, withdrawn)
        wait_for(watch, 2)
        seen = watch.since(0)
        finals = watch.finals()
    assert [(s.rule_id, s.trace_id, s.verdict, s.raised) for s in seen] == [
        (RULE, trace_id(1), "violated", True),
        (RULE, trace_id(1), "satisfied", False),
    ]
    assert begun_ms <= seen[0].visible_ms <= seen[1].visible_ms <= time.time() * 1000
    assert finals == {(RULE, trace_id(1)): "satisfied"}
