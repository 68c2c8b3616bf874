"""What a batch of signal records leaves in Postgres."""

from __future__ import annotations

import hashlib

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.worker.database import WorkerConnection
from api.worker.signals import SignalWriter, Written
from tests.integration.worker.world import (
    INCONCLUSIVE,
    NOON_MS,
    NOT_APPLICABLE,
    OTHER_TENANT,
    RULE,
    SATISFIED,
    TENANT,
    TEXT,
    VIOLATED,
    a_signal,
    add_version,
    lasting_rows,
    rows,
    set_rule_state,
    told,
)
from tests.support.postgres import Database
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration


def write(connection: WorkerConnection, *signals: wire.Signal) -> Written:
    with connection.transaction():
        return SignalWriter(copied_at_once=2).write(connection, told(*signals))


def state_of(database: Database) -> list[tuple[object, ...]]:
    return [
        (row["verdict"], row["status"], row["status_reason"], row["doubtful"], row["raised"])
        for row in rows(database.admin, "select * from signals order by id")
    ]


def history_of(database: Database) -> list[tuple[object, ...]]:
    return [
        (row["change"], row["from_status"] or row["from_verdict"],
         row["to_status"] or row["to_verdict"], row["reason"], row["actor"])
        for row in rows(database.admin, "select * from signal_history order by seq")
    ]  # fmt: skip


def test_a_violation_is_stored_with_every_field(
    seeded: Database, connection: WorkerConnection
) -> None:
    signal = a_signal(7, incomplete=True, shadow=True)
    signal.witness_span_ids.append(b"witness!")
    write(connection, signal)
    [row] = rows(seeded.admin, "select to_jsonb(s) - 'updated_at' as row from signals s")
    assert row["row"] == {
        "tenant_id": TENANT,
        "id": "\\x" + signal.id.hex(),
        "revision": NOON_MS * 16,
        "rule_id": RULE,
        "rule_version": 1,
        "rule_name": "Every charge is checked",
        "severity": "high",
        "controls": ["soc2.CC7.2"],
        "tags": ["money"],
        "shadow": True,
        "verdict": "violated",
        "broken_clause": "always",
        "incomplete": True,
        "doubtful": False,
        "reasons": [],
        "trace_id": "\\x" + signal.trace_id.hex(),
        "root_name": "POST /pay",
        "root_service": "shop",
        "witness_span_ids": ["\\x" + b"witness!".hex()],
        "span_count": 3,
        "first_span_at": "2027-01-15T07:59:55+00:00",
        "last_span_at": "2027-01-15T07:59:57+00:00",
        "closed_at": "2027-01-15T08:00:00+00:00",
        "judged_at": "2027-01-15T08:00:00+00:00",
        "log_partition": 7,
        "log_first_offset": 10,
        "log_last_offset": 20,
        "replaces_revision": None,
        "replaces_verdict": None,
        "correction_reason": None,
        "services": ["shop"],
        "explanation": None,
        "explain_mismatch": False,
        "occurred_at": "2027-01-15T08:00:00+00:00",
        "raised": True,
        "status": "open",
        "status_reason": None,
        "assignee_id": None,
        "version": 1,
        "trace_state": "waiting",
        "trace_problem": "",
        "explained_revision": None,
        "group_values": {},
        "group_fingerprint": None,
        "many": None,
        "exception": None,
        "exception_due": False,
        "alerts": False,
        "disposition": None,
        "resolved_at": None,
        "until_regression": False,
        "regressed_by": None,
    }


def test_late_evidence_resolves_an_open_signal_and_says_so(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(connection, a_signal())
    write(connection, a_signal(at_ms=1000, verdict=SATISFIED, was=VIOLATED))
    assert state_of(seeded) == [("satisfied", "resolved", "late_evidence", False, True)]
    assert history_of(seeded) == [
        ("status", "open", "resolved", "late_evidence", "engine"),
        ("verdict", "violated", "satisfied", "late_evidence", "engine"),
    ]


def test_revisions_of_one_batch_are_recorded_one_by_one(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(
        connection,
        a_signal(),
        a_signal(at_ms=1000, verdict=SATISFIED, was=VIOLATED),
        a_signal(at_ms=2000, verdict=VIOLATED, was=SATISFIED),
    )
    assert state_of(seeded) == [("violated", "open", None, False, True)]
    assert [line[1:3] for line in history_of(seeded)] == [
        ("open", "resolved"),
        ("violated", "satisfied"),
        ("resolved", "open"),
        ("satisfied", "violated"),
    ]


def test_a_violation_in_doubt_stays_open_and_doubtful(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(connection, a_signal())
    write(connection, a_signal(at_ms=1000, verdict=INCONCLUSIVE, was=VIOLATED))
    assert state_of(seeded) == [("inconclusive", "open", None, True, True)]
    [row] = rows(seeded.admin, "select reasons from signals")
    assert row["reasons"] == ["missing_parent"]


@pytest.mark.parametrize("status", ["resolved", "false_positive"])
def test_what_a_person_closed_the_engine_leaves_alone(
    seeded: Database, connection: WorkerConnection, status: str
) -> None:
    write(connection, a_signal())
    with psycopg.connect(seeded.admin) as person:
        person.execute("set local app.actor = 'ada'")
        person.execute(
            "update signals set status = %s, status_reason = 'seen', version = version + 1",
            [status],
        )
    write(connection, a_signal(at_ms=1000, verdict=SATISFIED, was=VIOLATED))
    assert state_of(seeded) == [("satisfied", status, "seen", False, True)]
    write(connection, a_signal(at_ms=2000, verdict=VIOLATED, was=SATISFIED))
    assert state_of(seeded) == [("violated", status, "seen", False, True)]


def test_a_signal_under_investigation_is_resolved_by_late_evidence(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(connection, a_signal())
    with psycopg.connect(seeded.admin) as person:
        person.execute("update signals set status = 'investigating', version = version + 1")
    write(connection, a_signal(at_ms=1000, verdict=NOT_APPLICABLE, was=VIOLATED))
    assert state_of(seeded) == [("not_applicable", "resolved", "late_evidence", False, True)]
    assert rows(seeded.admin, "select version from signals") == [{"version": 3}]


@pytest.mark.parametrize("verdict", [SATISFIED, NOT_APPLICABLE, INCONCLUSIVE])
def test_what_was_never_violated_is_not_stored(
    seeded: Database, connection: WorkerConnection, verdict: int
) -> None:
    write(connection, a_signal(verdict=verdict))
    assert state_of(seeded) == []


def test_a_withdrawal_that_comes_alone_is_stored_as_resolved(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(connection, a_signal(at_ms=1000, verdict=SATISFIED, was=VIOLATED))
    assert state_of(seeded) == [("satisfied", "resolved", "late_evidence", False, True)]


@pytest.mark.parametrize(
    ("state", "deleted", "reason"), [("off", False, "rule_off"), ("off", True, "rule_deleted")]
)
def test_signals_of_a_rule_that_is_not_on_are_refused_and_counted(
    seeded: Database, connection: WorkerConnection, state: str, deleted: bool, reason: str
) -> None:
    set_rule_state(seeded.admin, state, deleted=deleted)
    written = write(connection, a_signal(1), a_signal(2), a_signal(3, tenant=OTHER_TENANT))
    assert written.refused == {reason: 2}
    assert written.rows == {"signals": 1}


def test_what_was_judged_before_a_rule_was_switched_off_and_comes_after_is_refused(
    seeded: Database, connection: WorkerConnection
) -> None:
    add_version(seeded.admin, 2, created_ms=NOON_MS + 60_000, state="off")
    assert write(connection, a_signal(1)).refused == {"rule_off": 1}
    assert state_of(seeded) == []


@pytest.mark.parametrize(("at_ms", "refused"), [(4_999, 0), (5_000, 1), (64_999, 1), (65_000, 0)])
def test_what_was_judged_while_a_rule_was_off_is_refused_when_it_is_on_again(
    seeded: Database, connection: WorkerConnection, at_ms: int, refused: int
) -> None:
    add_version(seeded.admin, 2, created_ms=NOON_MS, state="off")
    add_version(seeded.admin, 3, created_ms=NOON_MS + 60_000, state="active")
    written = write(connection, a_signal(1, at_ms=at_ms))
    assert written.refused.get("rule_off", 0) == refused


def test_a_rule_in_quarantine_keeps_what_it_said_before(
    seeded: Database, connection: WorkerConnection
) -> None:
    add_version(seeded.admin, 2, created_ms=NOON_MS, state="quarantined")
    assert write(connection, a_signal(1)).refused == {}
    assert state_of(seeded) == [("violated", "open", None, False, True)]


def test_a_shadow_rules_signal_is_on_record_and_alerts_nobody(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(connection, a_signal(1, shadow=True), a_signal(2))
    stored = rows(seeded.admin, "select shadow, alerts, status from signals order by trace_id")
    assert [tuple(row.values()) for row in stored] == [(True, False, "open"), (False, True, "open")]


def test_a_rule_switched_off_still_takes_back_what_it_said(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(connection, a_signal())
    set_rule_state(seeded.admin, "off")
    written = write(connection, a_signal(at_ms=1000, verdict=SATISFIED, was=VIOLATED))
    assert written.refused == {}
    assert state_of(seeded) == [("satisfied", "resolved", "late_evidence", False, True)]


def test_a_signal_of_no_known_rule_is_refused(connection: WorkerConnection) -> None:
    assert write(connection, a_signal(rule_id="unheard-of")).refused == {"unknown_rule": 1}


def test_a_tenants_signals_are_seen_by_that_tenant_alone(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(connection, a_signal(1), a_signal(1, tenant=OTHER_TENANT))
    with psycopg.connect(seeded.app) as app:
        app.execute("select set_config('app.tenant_id', %s, true)", [OTHER_TENANT])
        seen = app.execute("select tenant_id::text from signals").fetchall()
        queued = app.execute("select tenant_id::text from trace_tasks").fetchall()
    assert (seen, queued) == ([(OTHER_TENANT,)], [(OTHER_TENANT,)])


def test_traces_over_the_budget_of_a_rule_and_hour_wait_for_idle_time(
    seeded: Database, connection: WorkerConnection
) -> None:
    write(connection, a_signal(1), a_signal(2, at_ms=1))
    write(connection, a_signal(3, at_ms=2), a_signal(4, at_ms=3_600_000))
    queued = rows(
        seeded.admin,
        "select s.trace_id, t.urgency from trace_tasks t join signals s"
        " on s.tenant_id = t.tenant_id and s.id = t.signal_id order by s.trace_id",
    )
    assert [(row["trace_id"][-1], row["urgency"]) for row in queued] == [
        (1, 1),
        (2, 1),
        (3, 2),
        (4, 1),
    ]


def test_readers_are_told_which_tenant_has_news(
    seeded: Database, connection: WorkerConnection
) -> None:
    with psycopg.connect(seeded.app, autocommit=True) as listener:
        listener.execute("listen signals")
        write(connection, a_signal(1), a_signal(2), a_signal(1, tenant=OTHER_TENANT))
        heard = {n.payload for n in listener.notifies(timeout=5, stop_after=2)}
    assert heard == {TENANT, OTHER_TENANT}


CHAINS = st.lists(
    st.sampled_from([VIOLATED, SATISFIED, NOT_APPLICABLE, INCONCLUSIVE]), min_size=0, max_size=4
)


def chain(number: int, verdicts: list[int], *, tenant: str) -> list[wire.Signal]:
    """Return the revisions of a signal: a violation, then each verdict that differs."""
    revisions = [a_signal(number, tenant=tenant)]
    for verdict in verdicts:
        was = revisions[-1].verdict
        at_ms = len(revisions) * 1000
        revisions.append(a_signal(number, at_ms=at_ms, verdict=verdict, was=was, tenant=tenant))
    return revisions


ENGINE_COLUMNS = (
    "select to_jsonb(s) - 'updated_at' - 'version' - 'resolved_at' as row from signals s"
    " order by tenant_id, id"
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data(), chains=st.lists(CHAINS, min_size=1, max_size=3))
def test_the_highest_revision_wins_in_any_order_and_any_batching(
    connection: WorkerConnection, data: st.DataObject, chains: list[list[int]]
) -> None:
    signals = [
        signal
        for number, verdicts in enumerate(chains)
        for signal in chain(number, verdicts, tenant=(TENANT, OTHER_TENANT)[number % 2])
    ]
    repeated = data.draw(st.lists(st.sampled_from(signals), max_size=3))
    shuffled = data.draw(st.permutations(signals + repeated))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(shuffled)), max_size=4)))
    batches = [
        shuffled[start:end] for start, end in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)
    ]
    assert outcome(connection, batches) == outcome(connection, [[s] for s in signals])


def outcome(
    connection: WorkerConnection, batches: list[list[wire.Signal]]
) -> list[dict[str, object]]:
    """Return the rows that some batches leave, and take them back."""
    with connection.transaction(force_rollback=True):
        for batch in batches:
            SignalWriter().write(connection, told(*batch))
            # What commit does to the temporary tables.
            connection.execute("truncate incoming_signals")
        return connection.execute(ENGINE_COLUMNS).fetchall()


def test_delivering_a_batch_again_changes_nothing(
    seeded: Database, connection: WorkerConnection
) -> None:
    batch = [*chain(1, [SATISFIED, VIOLATED], tenant=TENANT), a_signal(2), a_signal(3)]
    write(connection, *batch)
    once = lasting_rows(seeded.admin)
    write(connection, *batch)
    write(connection, *batch[1:])
    assert lasting_rows(seeded.admin) == once


def test_each_revision_of_a_signal_for_controls_is_handed_over_as_evidence(
    seeded: Database, connection: WorkerConnection
) -> None:
    uncontrolled = a_signal(3)
    del uncontrolled.controls[:]
    batch = [
        a_signal(1),
        a_signal(1, at_ms=1000, verdict=SATISFIED, was=VIOLATED),
        a_signal(2, shadow=True),
        uncontrolled,
        a_signal(4, rule_id="unknown"),
        a_signal(5, verdict=NOT_APPLICABLE),
        a_signal(1, tenant=OTHER_TENANT),
    ]
    for evidence in (False, True):
        with connection.transaction():
            SignalWriter(evidence=evidence).write(connection, told(*batch))
    handed_over = rows(
        seeded.admin,
        "select tenant_id::text as tenant, id, outcome, controls, rule_id, rule_version, time_ms,"
        " convert_from(head, 'UTF8') as head from evidence_inbox order by position",
    )
    first, revised, others = batch[0], batch[1], batch[6]
    assert {(row["tenant"], row["id"], row["outcome"]) for row in handed_over} == {
        (TENANT, f"{first.id.hex()}.{first.revision}", "violated"),
        (TENANT, f"{first.id.hex()}.{revised.revision}", "satisfied"),
        (OTHER_TENANT, f"{others.id.hex()}.{others.revision}", "violated"),
    }
    mine = next(row for row in handed_over if row["outcome"] == "satisfied")
    assert (mine["controls"], mine["rule_id"], mine["time_ms"]) == (
        ["soc2.CC7.2"],
        RULE,
        NOON_MS + 1000,
    )
    text_hash = hashlib.sha256(TEXT.encode()).hexdigest()
    assert f'"rule":{{"id":"{RULE}","sha256":"{text_hash}","version":1}}' in mine["head"]
