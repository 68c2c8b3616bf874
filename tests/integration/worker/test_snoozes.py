"""Signals of rules that are snoozed: on record, silent, and by when they were judged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from api.worker.database import WorkerConnection
from api.worker.signals import SignalWriter
from tests.integration.worker.world import (
    NOON_MS,
    RULE,
    SATISFIED,
    TENANT,
    VIOLATED,
    a_signal,
    add_rule,
    rows,
    told,
)
from tests.support.postgres import Database
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration
NOON = datetime.fromtimestamp(NOON_MS / 1000, UTC)


def write(connection: WorkerConnection, *signals: wire.Signal) -> None:
    with connection.transaction():
        SignalWriter().write(connection, told(*signals))


def snooze(
    database: Database, from_s: float, until_s: float, *, ended_s: float | None = None
) -> None:
    """Let the rule be silent between two moments, in seconds after NOON."""
    ended_at = None if ended_s is None else NOON + timedelta(seconds=ended_s)
    with psycopg.connect(database.admin) as connection:
        connection.execute(
            "insert into rule_snoozes"
            " (tenant_id, id, rule_id, from_at, until_at, reason, actor, ended_at, ended_by)"
            " values (%s, gen_random_uuid(), %s, %s, %s, 'maintenance', 'ada', %s, %s)",
            [
                TENANT,
                RULE,
                NOON + timedelta(seconds=from_s),
                NOON + timedelta(seconds=until_s),
                ended_at,
                None if ended_at is None else "ada",
            ],
        )


def alerting(database: Database) -> dict[int, bool]:
    """Return whether each signal alerts, by the number of its trace."""
    found = rows(database.admin, "select trace_id, alerts from signals order by trace_id")
    return {int.from_bytes(row["trace_id"], "big"): row["alerts"] for row in found}


def test_what_is_judged_meanwhile_is_silent_and_says_why(
    seeded: Database, connection: WorkerConnection
) -> None:
    snooze(seeded, 0, 60)
    write(connection, *(a_signal(n, at_ms=at) for n, at in enumerate((-1, 0, 59_999, 60_000))))
    assert alerting(seeded) == {0: True, 1: False, 2: False, 3: True}
    [row] = rows(
        seeded.admin,
        "select exception - 'snooze' as why, exception ->> 'snooze' = z.id::text as named, status,"
        " raised from signals, rule_snoozes z where trace_id = decode(lpad('1', 32, '0'), 'hex')",
    )
    assert row == {
        "why": {
            "where": "",
            "reason": "maintenance",
            "owner": "ada",
            "until": "2027-01-15T08:01:00Z",
        },
        "named": True,
        "status": "open",
        "raised": True,
    }


def test_one_that_was_ended_silences_nothing_from_then_on(
    seeded: Database, connection: WorkerConnection
) -> None:
    snooze(seeded, 0, 60, ended_s=30)
    write(connection, a_signal(1, at_ms=29_999), a_signal(2, at_ms=30_000))
    assert alerting(seeded) == {1: False, 2: True}


def test_exceptions_are_not_waited_for_while_it_is_silent(
    seeded: Database, connection: WorkerConnection
) -> None:
    add_rule(seeded.admin, rule_id="excepting", exceptions=[{"where": "a == 1", "reason": "x"}])
    snooze(seeded, 0, 60)
    with psycopg.connect(seeded.admin) as admin:
        admin.execute("update rule_snoozes set rule_id = 'excepting'")
    write(connection, a_signal(1, rule_id="excepting"), a_signal(2))
    found = rows(seeded.admin, "select rule_id, exception_due, alerts from signals")
    assert {tuple(row.values()) for row in found} == {
        ("excepting", False, False),
        (RULE, False, True),
    }


def test_a_silent_signal_that_is_violated_anew_after_the_snooze_alerts(
    seeded: Database, connection: WorkerConnection
) -> None:
    snooze(seeded, 0, 60)
    write(connection, a_signal(1))
    write(connection, a_signal(1, at_ms=10_000, verdict=SATISFIED, was=VIOLATED))
    assert alerting(seeded) == {1: False}
    write(connection, a_signal(1, at_ms=61_000, was=SATISFIED))
    assert alerting(seeded) == {1: True}
    feed = rows(seeded.admin, "select change from signal_feed order by xact, seq")
    assert [row["change"] for row in feed] == ["raised", "changed", "raised"]


def test_a_signal_is_silent_whatever_the_batches(
    seeded: Database, connection: WorkerConnection
) -> None:
    snooze(seeded, 0, 60)
    write(connection, a_signal(1), a_signal(1, at_ms=5_000, verdict=SATISFIED, was=VIOLATED))
    write(connection, a_signal(1))
    [row] = rows(seeded.admin, "select exception ->> 'reason' as why, verdict from signals")
    assert row == {"why": "maintenance", "verdict": "satisfied"}
