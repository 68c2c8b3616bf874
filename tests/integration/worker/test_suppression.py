"""Suppression windows: of one group of a rule, one signal in so long a time alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from api.kafka.topics import TopicNames
from api.worker.copier import Copier
from api.worker.spans_log import SpansLog
from tests.integration.worker.running import a_copier
from tests.integration.worker.test_copier import (
    CHARGE,
    Log,
    a_request,
    a_span,
    raise_signals,
    signal_of,
)
from tests.integration.worker.world import (
    SATISFIED,
    TENANT,
    VIOLATED,
    add_rule,
    rows,
)
from tests.support.kafka import Broker
from tests.support.many_signals import CORRELATE, correlated
from tests.support.postgres import Database
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration

RULE = "repeating"
MINUTE = 60_000


@pytest.fixture
def log(broker: Broker, topics: TopicNames) -> Log:
    return Log(broker, topics)


@pytest.fixture
def copier(broker: Broker, topics: TopicNames, seeded: Database) -> Iterator[Copier]:
    spans = SpansLog(broker.address, topics.spans)
    yield a_copier(spans, seeded)
    spans.close()


@pytest.fixture
def violate(log: Log) -> Callable[..., wire.Signal]:
    """Put the n-th trace, of a service, into the log and return its signal, judged after NOON."""

    def violate(number: int, *, at_ms: int, service: str = "shop") -> wire.Signal:
        at = log.append(a_request(a_span(number, "payment.charge", CHARGE), service=service))
        return signal_of(number, at, at, rule_id=RULE, at_ms=at_ms)

    return violate


def withdrawn(signal: wire.Signal, *, after_ms: int = 5_000) -> wire.Signal:
    """Return the correction that takes a signal back."""
    later = wire.Signal()
    later.CopyFrom(signal)
    later.judged_ms += after_ms
    later.revision = later.judged_ms * 16
    later.verdict, later.broken_clause = SATISFIED, ""
    later.correction.replaces_revision = signal.revision
    later.correction.was = VIOLATED
    later.correction.reason = "late_evidence"
    return later


def state_of(database: Database) -> dict[int, tuple[bool, int | None]]:
    """Return whether each signal alerts, and which it repeats, by the numbers of their traces."""
    found = rows(
        database.admin,
        "select s.trace_id, s.alerts, o.trace_id as repeated from signals s left join signals o"
        " on encode(o.id, 'hex') = s.exception ->> 'repeats' order by s.trace_id",
    )

    def number(trace_id: bytes | None) -> int | None:
        return None if trace_id is None else int.from_bytes(trace_id, "big")

    return {number(row["trace_id"]) or 0: (row["alerts"], number(row["repeated"])) for row in found}


def drain(copier: Copier, database: Database) -> None:
    """Copy until nothing waits to be decided."""
    while rows(database.admin, "select from signals where exception_due"):
        copier.round()


def test_repeats_within_the_window_are_silent_and_name_the_one_that_alerts(
    seeded: Database, copier: Copier, violate: Any
) -> None:
    add_rule(seeded.admin, rule_id=RULE, suppress="15m")
    for number, at_ms in ((1, 0), (2, 15 * MINUTE - 1), (3, 15 * MINUTE)):
        raise_signals(seeded, violate(number, at_ms=at_ms))
        drain(copier, seeded)
    assert state_of(seeded) == {1: (True, None), 2: (False, 1), 3: (True, None)}
    [silent] = rows(seeded.admin, "select exception, status from signals where not alerts")
    assert silent["status"] == "open"
    assert silent["exception"]["reason"].endswith("its rule alerts once in 900 s.")


def test_a_signal_waits_until_its_group_is_known(
    seeded: Database, copier: Copier, violate: Any
) -> None:
    add_rule(seeded.admin, rule_id=RULE, suppress="15m")
    raise_signals(seeded, violate(1, at_ms=0))
    assert state_of(seeded) == {1: (False, None)}
    drain(copier, seeded)
    changes = rows(seeded.admin, "select change from signal_feed order by xact, seq")
    assert [row["change"] for row in changes] == ["raised", "raised"]


def test_groups_alert_apart(seeded: Database, copier: Copier, violate: Any) -> None:
    add_rule(seeded.admin, rule_id=RULE, suppress="1h", group_by=["service"])
    for number, service in ((1, "shop"), (2, "ledger"), (3, "shop")):
        raise_signals(seeded, violate(number, at_ms=number * 1_000, service=service))
        drain(copier, seeded)
    assert state_of(seeded) == {1: (True, None), 2: (True, None), 3: (False, 1)}


def test_when_it_is_withdrawn_the_first_that_repeated_it_alerts(
    seeded: Database, copier: Copier, violate: Any
) -> None:
    add_rule(seeded.admin, rule_id=RULE, suppress="15m")
    signals = [violate(number, at_ms=number * 1_000) for number in (1, 2, 3)]
    for signal in signals:
        raise_signals(seeded, signal)
        drain(copier, seeded)
    assert state_of(seeded) == {1: (True, None), 2: (False, 1), 3: (False, 1)}
    raise_signals(seeded, withdrawn(signals[0]))
    assert state_of(seeded) == {1: (True, None), 2: (True, None), 3: (False, 2)}
    raise_signals(seeded, withdrawn(signals[1]))
    assert state_of(seeded) == {1: (True, None), 2: (True, None), 3: (True, None)}


def test_what_comes_after_it_was_resolved_alerts(
    seeded: Database, copier: Copier, violate: Any
) -> None:
    add_rule(seeded.admin, rule_id=RULE, suppress="15m")
    raise_signals(seeded, violate(1, at_ms=0))
    drain(copier, seeded)
    with psycopg.connect(seeded.admin) as connection:
        connection.execute("update signals set status = 'investigating'")
        connection.execute("update signals set status = 'resolved', status_reason = 'fixed'")
    raise_signals(seeded, violate(2, at_ms=1_000))
    drain(copier, seeded)
    assert state_of(seeded) == {1: (True, None), 2: (True, None)}


def test_a_rule_over_many_traces_is_decided_when_it_is_stored(seeded: Database) -> None:
    add_rule(seeded.admin, rule_id="many-charges", text=CORRELATE, suppress="1h")
    raise_signals(seeded, correlated(number=101), correlated(number=102))
    found = rows(seeded.admin, "select alerts, exception_due from signals order by id")
    assert [tuple(row.values()) for row in found] == [(True, False), (False, False)]


@pytest.mark.parametrize(
    ("window", "seconds"),
    [
        ("90s", 90),
        ("1.5h", 5_400),
        ("7d", 604_800),
        ("1500ms", 1.5),
        ("2000000us", 2),
        (None, None),
    ],
)
def test_windows_are_read_as_rules_say_them(
    seeded: Database, window: str, seconds: float | None
) -> None:
    add_rule(seeded.admin, rule_id=RULE, suppress=window)
    [row] = rows(
        seeded.admin,
        "select extract(epoch from suppression_at(%s, %s, now() + interval '1 hour'))"
        "::double precision as seconds",
        TENANT,
        RULE,
    )
    assert row["seconds"] == seconds
