"""What was folded of storms of signals, in Postgres: totals by lane and minute."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import psycopg
import pytest

from api.worker.database import WorkerConnection
from api.worker.signals import SignalWriter, Written
from tests.integration.worker.world import (
    NOON_MS,
    OTHER_TENANT,
    RULE,
    TENANT,
    a_fold,
    a_signal,
    rows,
    set_rule_state,
    told,
)
from tests.support.postgres import Database
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration


def write(connection: WorkerConnection, *records: wire.Signal) -> Written:
    with connection.transaction():
        return SignalWriter().write(connection, told(*records))


def stored(database: Database) -> list[dict[str, Any]]:
    query = "select to_jsonb(f) as row from signal_folds f order by tenant_id, minute, lane"
    return [row["row"] for row in rows(database.admin, query)]


def test_totals_are_stored_with_every_field(seeded: Database, connection: WorkerConnection) -> None:
    written = write(connection, a_fold(renewed=1, withdrawn=2, shadow=True), a_signal(1))
    assert (written.rows, written.refused, written.poison) == (
        {"signals": 1, "signal_folds": 1}, {}, (),
    )  # fmt: skip
    [minute] = rows(seeded.admin, "select to_timestamp(%s) as at", NOON_MS / 1000)
    [row] = stored(seeded)
    assert row == {
        "tenant_id": TENANT,
        "rule_id": RULE,
        "rule_version": 1,
        "minute": minute["at"].isoformat(),
        "lane": 3,
        "revision": (NOON_MS + 60_000) * 16,
        "rule_name": "Every charge is checked",
        "severity": "high",
        "shadow": True,
        "raised": 7,
        "renewed": 1,
        "withdrawn": 2,
        "first_at": minute["at"].isoformat()[:17] + "01+00:00",
        "last_at": minute["at"].isoformat()[:17] + "09+00:00",
        "example_trace_ids": ["\\x" + "01" * 16, "\\x" + "02" * 16],
    }


def test_the_highest_revision_holds_however_records_come(
    seeded: Database, connection: WorkerConnection
) -> None:
    early, later, last = a_fold(raised=2, tick=1), a_fold(raised=5, tick=2), a_fold(raised=9)
    for order in permutations((early, later, last, early)):
        for record in order:
            write(connection, record)
        assert [row["raised"] for row in stored(seeded)] == [9]
    write(connection, early, last, later)
    assert [row["raised"] for row in stored(seeded)] == [9]


def test_each_tenant_lane_and_minute_has_its_own_totals(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(
        connection,
        a_fold(raised=1),
        a_fold(raised=2, lane=4),
        a_fold(raised=3, minute=1),
        a_fold(raised=4, tenant=OTHER_TENANT),
    )
    assert [(row["tenant_id"], row["raised"]) for row in stored(seeded)] == [
        (TENANT, 1), (TENANT, 2), (TENANT, 3), (OTHER_TENANT, 4),
    ]  # fmt: skip
    with psycopg.connect(seeded.app) as app:
        app.execute("select set_config('app.tenant_id', %s, true)", [OTHER_TENANT])
        assert app.execute("select raised from signal_folds").fetchall() == [(4,)]


def test_withdrawals_of_earlier_minutes_have_no_times_of_their_own(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(connection, a_fold(minute=9, raised=0, withdrawn=5))
    [row] = stored(seeded)
    assert (row["withdrawn"], row["first_at"], row["example_trace_ids"]) == (5, None, [])


@pytest.mark.parametrize(
    ("state", "deleted", "reason"),
    [("off", False, "rule_off"), ("off", True, "rule_deleted")],
)
def test_what_a_rule_folds_that_is_off_is_refused_and_counted(
    seeded: Database, connection: WorkerConnection, state: str, deleted: bool, reason: str
) -> None:
    write(connection, a_fold(raised=3, tick=1))
    set_rule_state(seeded.admin, state, deleted=deleted)
    written = write(connection, a_fold(raised=8), a_signal(1))
    assert written.refused == {reason: 2}
    assert [row["raised"] for row in stored(seeded)] == [3]


def test_an_unknown_rule_is_refused(seeded: Database, connection: WorkerConnection) -> None:
    assert write(connection, a_fold(rule_id="nobody-knows")).refused == {"unknown_rule": 1}
    assert stored(seeded) == []
