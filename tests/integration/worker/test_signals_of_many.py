"""Signals of rules over many traces in Postgres: what was seen in place of a trace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api.worker.database import WorkerConnection, connect
from api.worker.signals import SignalWriter
from tests.integration.worker.world import TENANT, a_signal, add_rule, rows, told
from tests.support.many_signals import CORRELATE, EXPECT, correlated, overdue, seen_again, stored
from tests.support.postgres import Database
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration


@pytest.fixture
def connection(seeded: Database) -> Iterator[WorkerConnection]:
    add_rule(seeded.admin, rule_id="many-charges", text=CORRELATE)
    add_rule(seeded.admin, rule_id="nightly-backup", text=EXPECT)
    with connect(seeded.worker, name="test") as connection:
        yield connection


def write(connection: WorkerConnection, *signals: wire.Signal) -> None:
    with connection.transaction():
        written = SignalWriter().write(connection, told(*signals))
    assert (written.poison, written.refused) == ((), {})


def test_what_was_seen_is_stored_in_place_of_a_trace(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(connection, correlated(), overdue())
    query = (
        "select tenant_id::text, trace_id, many, group_values, length(group_fingerprint) as size,"
        " services, trace_state, status, raised from signals order by id"
    )
    common = {"tenant_id": TENANT, "trace_id": None, "size": 16, "trace_state": "none"}
    common |= {"status": "open", "raised": True}
    assert rows(seeded.admin, query) == [
        {**common, **stored(correlated()), "services": []},
        {**common, **stored(overdue()), "services": ["billing"]},
    ]


def test_no_copy_is_asked_for_where_there_is_no_trace(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(connection, correlated(), overdue(), a_signal(1))
    assert rows(seeded.admin, "select signal_id from trace_tasks") == [
        {"signal_id": a_signal(1).id}
    ]


def test_a_key_that_is_seen_again_resolves_its_signal_and_says_so(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(connection, overdue())
    write(connection, seen_again())
    query = "select status, status_reason, verdict, many ->> 'ended' as ended from signals"
    assert rows(seeded.admin, query) == [
        {
            "status": "resolved",
            "status_reason": "seen_again",
            "verdict": "satisfied",
            "ended": "sighted",
        }
    ]
    history = rows(seeded.admin, "select change, reason, actor from signal_history order by seq")
    assert history == [
        {"change": "status", "reason": "seen_again", "actor": "engine"},
        {"change": "verdict", "reason": "seen_again", "actor": "engine"},
    ]


def test_one_that_is_over_at_once_is_stored_raised_and_resolved(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(connection, seen_again())
    assert rows(seeded.admin, "select raised, status, status_reason from signals") == [
        {"raised": True, "status": "resolved", "status_reason": "seen_again"}
    ]


def test_a_growing_signal_is_one_row_and_no_news_of_status(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(connection, correlated())
    later = correlated(number=101)
    later.revision += 160
    later.correlated.count = 3
    write(connection, later)
    assert rows(seeded.admin, "select many -> 'count' as count, status from signals") == [
        {"count": 3, "status": "open"}
    ]
    assert rows(seeded.admin, "select 1 from signal_history") == []
