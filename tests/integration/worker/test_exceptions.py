"""Which signals exceptions silence, and that they stay on record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from api.kafka.topics import TopicNames
from api.worker.copier import Copier
from api.worker.database import connect
from api.worker.exceptions import EXCEPTION_PATIENCE_S
from api.worker.signals import SignalWriter
from api.worker.spans_log import LogUnavailable, SpansLog
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
    NOON_MS,
    OTHER_TENANT,
    SATISFIED,
    TENANT,
    VIOLATED,
    add_rule,
    add_version,
    rows,
    told,
)
from tests.support.kafka import Broker
from tests.support.many_signals import CORRELATE, correlated
from tests.support.postgres import Database
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration

RULE = "excepting"
STAGING = {"where": "service == staging", "reason": "load tests", "owner": "ada"}


@pytest.fixture
def log(broker: Broker, topics: TopicNames) -> Log:
    return Log(broker, topics)


@pytest.fixture
def copier(broker: Broker, topics: TopicNames, seeded: Database) -> Iterator[Copier]:
    spans = SpansLog(broker.address, topics.spans)
    yield a_copier(spans, seeded)
    spans.close()


def found(database: Database, query: str = "exception, exception_due, alerts") -> Any:
    [row] = rows(database.admin, f"select {query} from signals")
    return tuple(row.values())


def a_violation(log: Log, *, service: str = "staging", **changed: Any) -> wire.Signal:
    """Return the signal of a trace that is in the log."""
    at = log.append(a_request(a_span(1, "payment.charge", CHARGE), service=service))
    return signal_of(1, at, at, rule_id=RULE, **changed)


def test_a_violation_waits_for_its_exceptions_and_is_then_silenced(
    log: Log, copier: Copier, seeded: Database
) -> None:
    add_rule(seeded.admin, rule_id=RULE, exceptions=[STAGING])
    raise_signals(seeded, a_violation(log))
    assert found(seeded) == (None, True, False)
    copier.round()
    assert found(seeded) == (STAGING, False, False)
    assert found(seeded, "verdict, status, raised") == ("violated", "open", True)


def test_an_exception_is_asked_of_what_redaction_left_and_shown_as_it_was_written(
    log: Log, copier: Copier, seeded: Database
) -> None:
    written = {"where": 'user.email == "ada@example.com"', "reason": "known"}
    token = f"hash:k1:{'0' * 32}"
    add_rule(
        seeded.admin,
        rule_id=RULE,
        exceptions=[written],
        judged_exceptions=[{**written, "judged": f'user.email == "{token}"'}],
    )
    charge = a_span(1, "payment.charge", CHARGE, **{"user.email": token})
    at = log.append(a_request(charge), policy="1")
    raise_signals(seeded, signal_of(1, at, at, rule_id=RULE))
    assert found(seeded) == (None, True, False)
    copier.round()
    assert found(seeded) == (written, False, False)


def test_one_that_no_exception_fits_alerts(log: Log, copier: Copier, seeded: Database) -> None:
    add_rule(seeded.admin, rule_id=RULE, exceptions=[STAGING])
    raise_signals(seeded, a_violation(log, service="shop"))
    copier.round()
    assert found(seeded) == (None, False, True)
    changes = rows(seeded.admin, "select change from signal_feed order by xact, seq")
    assert [row["change"] for row in changes] == ["raised", "raised"]


def test_a_rule_without_exceptions_alerts_at_once(log: Log, seeded: Database) -> None:
    add_rule(seeded.admin, rule_id=RULE)
    raise_signals(seeded, a_violation(log))
    assert found(seeded) == (None, False, True)


@pytest.mark.parametrize(
    ("saved_ms", "until", "silenced"),
    [
        (NOON_MS - 5_000, "2027-01-15", True),
        (NOON_MS - 4_999, "2027-01-15", False),
        (NOON_MS - 60_000, "2027-01-15T08:00:00Z", False),
        (NOON_MS - 60_000, "2027-01-15T08:00:00.001Z", True),
    ],
    ids=["just in force", "not yet in force", "over", "not yet over"],
)
def test_the_time_of_the_judgement_decides_which_exceptions_hold(
    log: Log, copier: Copier, seeded: Database, saved_ms: int, until: str, silenced: bool
) -> None:
    add_rule(seeded.admin, rule_id=RULE)
    one = {**STAGING, "until": until}
    add_version(seeded.admin, 2, created_ms=saved_ms, exceptions=[one], rule_id=RULE)
    raise_signals(seeded, a_violation(log))
    copier.round()
    assert found(seeded) == ((one, False, False) if silenced else (None, False, True))


def test_a_version_that_takes_an_exception_out_silences_nothing_more(
    log: Log, copier: Copier, seeded: Database
) -> None:
    add_rule(seeded.admin, rule_id=RULE, exceptions=[STAGING])
    add_version(seeded.admin, 2, created_ms=NOON_MS - 9_000, rule_id=RULE)
    raise_signals(seeded, a_violation(log))
    copier.round()
    assert found(seeded) == (None, False, True)


def test_a_silenced_signal_that_is_withdrawn_stays_silent(
    log: Log, copier: Copier, seeded: Database
) -> None:
    add_rule(seeded.admin, rule_id=RULE, exceptions=[STAGING])
    raise_signals(seeded, violation := a_violation(log))
    copier.round()
    withdrawn = signal_of(
        1,
        violation.first_offset,
        violation.last_offset,
        rule_id=RULE,
        at_ms=1_000,
        verdict=SATISFIED,
        was=VIOLATED,
    )
    raise_signals(seeded, withdrawn)
    copier.round()
    assert found(seeded) == (STAGING, False, False)
    assert found(seeded, "verdict, status") == ("satisfied", "resolved")


def test_what_nobody_can_decide_about_alerts_after_a_while(
    topics: TopicNames, log: Log, seeded: Database
) -> None:
    add_rule(seeded.admin, rule_id=RULE, exceptions=[STAGING])
    raise_signals(seeded, a_violation(log))
    nowhere = SpansLog("127.0.0.1:1", topics.spans, timeout_s=1)
    with pytest.raises(LogUnavailable):
        a_copier(nowhere, seeded).round()
    assert found(seeded) == (None, True, False)
    with psycopg.connect(seeded.admin) as later:
        later.execute("alter table signals disable trigger user")
        later.execute(
            "update signals set updated_at = updated_at - %s * interval '1 second'",
            [EXCEPTION_PATIENCE_S],
        )
        later.execute("alter table signals enable trigger user")
    a_copier(nowhere, seeded).round()
    nowhere.close()
    assert found(seeded) == (None, False, True)


@pytest.mark.parametrize(("where", "silenced"), [("user.id == u1", True), ("user.id == u2", False)])
def test_a_rule_over_many_traces_is_asked_for_its_key_at_once(
    seeded: Database, where: str, silenced: bool
) -> None:
    one = {"where": where, "reason": "a known customer"}
    add_rule(seeded.admin, rule_id="many-charges", text=CORRELATE, exceptions=[one])
    with connect(seeded.worker, name="test") as connection, connection.transaction():
        SignalWriter().write(connection, told(correlated()))
    assert found(seeded) == ((one, False, False) if silenced else (None, False, True))


def test_exceptions_of_one_tenant_silence_nothing_of_another(log: Log, seeded: Database) -> None:
    add_rule(seeded.admin, rule_id=RULE, exceptions=[STAGING])
    add_rule(seeded.admin, rule_id=RULE, tenant=OTHER_TENANT)
    raise_signals(seeded, a_violation(log), a_violation(log, tenant=OTHER_TENANT))
    silent = rows(seeded.admin, "select tenant_id::text from signals where not alerts")
    assert silent == [{"tenant_id": TENANT}]
