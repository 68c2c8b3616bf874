"""What is over is deleted, of the tenant that wants it so, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from api.retention.terms import Kind
from api.worker.database import WorkerConnection, connect
from api.worker.metrics import Metrics
from api.worker.retention import COPIES, NOTHING, STEPS, Batch, Retention, Step
from tests.integration.worker.running import sample
from tests.integration.worker.world import OTHER_TENANT, RULE, TENANT, rows, trace_id
from tests.support.postgres import Database, Server

NOW: Final = datetime.now(UTC)
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
KINDS: Final = [step.what for step in STEPS]


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


@pytest.fixture
def admin(seeded: Database) -> Iterator[psycopg.Connection]:
    """The owner, whose writing no trigger touches: rows may be as old as a test wants."""
    with psycopg.connect(seeded.admin, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        yield connection


@pytest.fixture
def retention(seeded: Database) -> Retention:
    return made(seeded.worker)


def made(dsn: str, stop: threading.Event | None = None) -> Retention:
    return Retention(
        connect=partial(connect, dsn, name="test"),
        metrics=Metrics(),
        stop=stop or threading.Event(),
    )


def insert(connection: psycopg.Connection, table: str, **columns: Any) -> None:
    names = ", ".join(columns)
    values = ", ".join(f"%({name})s" for name in columns)
    connection.execute(f"insert into {table} ({names}) values ({values})".encode(), columns)


def put_signal(
    connection: psycopg.Connection, number: int, at: datetime, tenant: str = TENANT, **changed: Any
) -> None:
    row = {
        "tenant_id": tenant,
        "id": number.to_bytes(16, "big"),
        "revision": 1,
        "rule_id": RULE,
        "rule_version": 1,
        "rule_name": RULE,
        "severity": "high",
        "verdict": "violated",
        "raised": True,
        "status": "resolved",
        "status_reason": "done",
        "trace_id": trace_id(number),
        "occurred_at": at,
        "updated_at": at,
        **dict.fromkeys(("first_span_at", "last_span_at", "judged_at"), at),
        **dict.fromkeys(("log_partition", "log_first_offset", "log_last_offset"), 0),
    }
    insert(connection, "signals", **{**row, **changed})


def put_copy(
    connection: psycopg.Connection, number: int, at: datetime, tenant: str = TENANT
) -> None:
    key = {"tenant_id": tenant, "trace_id": trace_id(number)}
    insert(
        connection,
        "trace_copies",
        **key,
        span_count=1,
        whole=True,
        **dict.fromkeys(("first_span_at", "last_span_at", "copied_at"), at),
        **dict.fromkeys(("log_partition", "log_first_offset", "log_last_offset"), 0),
    )
    insert(
        connection,
        "trace_spans",
        **key,
        ordinal=0,
        span_id=bytes(8),
        name="a",
        kind="server",
        status="ok",
        start_ns=1,
        end_ns=2,
    )


def put_one_of_each(connection: psycopg.Connection, at: datetime, tenant: str = TENANT) -> None:
    """Write a row of that age for each step, and a trace that its signal shows."""
    number = int(at.timestamp())
    put_signal(connection, number, at, tenant)
    put_signal(connection, number + 1, at, tenant, status="open", status_reason=None)
    put_copy(connection, number, at, tenant)
    of = {"tenant_id": tenant}
    rule = {"rule_id": RULE, "rule_version": 1, "minute": at, "lane": 0, "revision": 1}
    verdicts = dict.fromkeys(("violated", "satisfied", "not_applicable", "inconclusive"), 0)
    insert(
        connection,
        "signal_folds",
        **of,
        **rule,
        rule_name="x",
        severity="high",
        **dict.fromkeys(("raised", "renewed", "withdrawn"), 1),
    )
    insert(connection, "rule_stats_minutes", **of, **rule, **verdicts)
    insert(connection, "stats_minutes", **of, minute=at, lane=0, revision=1, counts=Jsonb({}))
    put_letter(connection, number, at, tenant)
    put_backtest(connection, at, tenant)
    insert(connection, "usage_days", **of, day=at.date(), spans=1)
    insert(
        connection,
        "redaction_counts",
        **of,
        day=at.date(),
        policy_version=0,
        what="email",
        count=1,
    )
    put_audit(connection, at, tenant)


def put_letter(
    connection: psycopg.Connection, number: int, at: datetime, tenant: str | None
) -> None:
    insert(
        connection,
        "dead_letters",
        tenant_id=tenant,
        letter_partition=0 if tenant == TENANT else 1,
        letter_offset=number,
        source="ingest",
        code="x",
        log_partition=0,
        log_offset=0,
        content=b"x",
        at=at,
    )


def put_backtest(connection: psycopg.Connection, at: datetime, tenant: str = TENANT) -> UUID:
    backtest_id = uuid4()
    insert(
        connection,
        "backtests",
        tenant_id=tenant,
        id=backtest_id,
        state="done",
        requested_by="x",
        from_at=at - timedelta(days=2),
        to_at=at - timedelta(days=1),
        rules=Jsonb([]),
        now_records=[],
        was_records=[],
        finished_at=at,
    )
    return backtest_id


def put_audit(connection: psycopg.Connection, at: datetime, tenant: str | None) -> None:
    insert(
        connection,
        "audit_log",
        id=uuid4(),
        tenant_id=tenant,
        at=at,
        until_at=at,
        actor="x",
        action="rule.changed",
        outcome="allowed",
    )


def keep(connection: psycopg.Connection, days: dict[str, int | None], tenant: str = TENANT) -> None:
    connection.execute("update tenants set retention = %s where id = %s", [Jsonb(days), tenant])


TABLES: Final = {
    "signals": "signals where status = 'resolved' and",
    "open_signals": "signals where status = 'open' and",
    "folds": "signal_folds where",
    "dead_letters": "dead_letters where",
    "backtests": "backtests where",
    "accounts": "stats_minutes where",
    "rule_accounts": "rule_stats_minutes where",
    "usage": "usage_days where",
    "redactions": "redaction_counts where",
    "audit": "audit_log where action = 'rule.changed' and",
    "traces": "trace_copies where",
}


def left(database: Database, tenant: str = TENANT) -> dict[str, int]:
    """Return how many rows of each step are there."""
    return {
        what: rows(database.admin, f"select count(*) from {where} tenant_id = %s", tenant)[0][
            "count"
        ]
        for what, where in TABLES.items()
    }


def told(database: Database, tenant: str = TENANT) -> dict[str, int]:
    """Return what the audit log says was deleted."""
    found = rows(
        database.admin,
        "select substring(target from 11) as what, sum((details ->> 'rows')::int)::int as n"
        " from audit_log where action = 'retention.deleted' and actor = 'betrace'"
        " and tenant_id = %s group by 1",
        tenant,
    )
    return {row["what"]: row["n"] for row in found}


ALL_SHORT: Final[dict[str, int | None]] = {
    "signals": 10,
    "open_signals": 20,
    "dead_letters": 10,
    "backtests": 10,
    "accounts": 40,
    "usage": 400,
    "audit": 50,
}


def test_each_tenant_keeps_its_things_for_as_long_as_it_wants(
    seeded: Database, admin: psycopg.Connection, retention: Retention
) -> None:
    keep(admin, ALL_SHORT)
    for tenant in (TENANT, OTHER_TENANT):
        for age in (1, 15, 45, 401):
            put_one_of_each(admin, days_ago(age), tenant)
    assert retention.round()
    gone = {
        "signals": 3, "open_signals": 2, "folds": 3, "dead_letters": 3, "backtests": 3,
        "accounts": 2, "rule_accounts": 2, "usage": 1, "redactions": 1, "audit": 1, "traces": 3,
    }  # fmt: skip
    assert left(seeded) == {what: 4 - n for what, n in gone.items()}
    assert told(seeded) == gone
    others = {
        "signals": 1, "folds": 1, "dead_letters": 2, "backtests": 2, "accounts": 1,
        "rule_accounts": 1, "audit": 1, "traces": 1,
    }  # fmt: skip
    assert told(seeded, OTHER_TENANT) == others
    assert left(seeded, OTHER_TENANT) == {what: 4 - others.get(what, 0) for what in TABLES}
    assert retention.round()
    assert told(seeded) == gone, "a second round finds nothing and says nothing"


HELD: Final = "held_at = now(), held_by = 'tenant'"
TO_BE_DELETED: Final = (
    "deletion_asked_at = now(), deletion_asked_by = 'x', delete_after = now(), paused_rules = '{}'"
)
NEITHER: Final = (
    "held_at = null, held_by = null, deletion_asked_at = null, deletion_asked_by = null,"
    " delete_after = null, paused_rules = null"
)


def change(connection: psycopg.Connection, columns: str) -> None:
    connection.execute(f"update tenants set {columns} where id = %s".encode(), [TENANT])


@pytest.mark.parametrize("kept_whole", [HELD, TO_BE_DELETED], ids=["held", "to be deleted"])
def test_nothing_goes_of_a_tenant_that_is_held_or_goes_as_a_whole(
    seeded: Database, admin: psycopg.Connection, retention: Retention, kept_whole: str
) -> None:
    for tenant in (TENANT, OTHER_TENANT):
        keep(admin, ALL_SHORT, tenant)
        put_one_of_each(admin, days_ago(500), tenant)
        put_ledger(admin, days_ago(500), tenant)
    change(admin, kept_whole)
    assert retention.round()
    assert left(seeded) == dict.fromkeys(TABLES, 1)
    assert left(seeded, OTHER_TENANT) == dict.fromkeys(TABLES, 0)
    assert [ledger_days(seeded, tenant) for tenant in (TENANT, OTHER_TENANT)] == [1, 0]
    change(admin, NEITHER)
    assert retention.round()
    assert left(seeded) == dict.fromkeys(TABLES, 0)
    assert ledger_days(seeded, TENANT) == 0


def put_ledger(connection: psycopg.Connection, at: datetime, tenant: str) -> None:
    """Write that something was deleted that day, and told."""
    of = {"tenant_id": tenant, "day": at.date(), "what": "folds"}
    insert(connection, "retention_ledger", **of, days=1, row_count=3, told_count=3)


def ledger_days(seeded: Database, tenant: str) -> int:
    """Return how many days before today the ledger has something of."""
    query = "select day from retention_ledger where tenant_id = %s and day < current_date - 1"
    return len(rows(seeded.admin, query, tenant))


@pytest.mark.parametrize("kept_whole", [HELD, TO_BE_DELETED], ids=["held", "to be deleted"])
def test_the_database_s_own_way_into_the_audit_log_is_closed_then(
    admin: psycopg.Connection, connection: WorkerConnection, kept_whole: str
) -> None:
    put_audit(admin, days_ago(500), TENANT)
    change(admin, kept_whole)
    with pytest.raises(psycopg.errors.RestrictViolation, match="held"):
        connection.execute("select forget_audit(%s, 400, 10)", [TENANT])
    connection.execute("select forget_audit(%s, 400, 10)", [OTHER_TENANT])


@pytest.mark.parametrize("call", ["forget_audit(%s, 29, 10)", "forget_audit_of_nobody(29, 10)"])
def test_nobody_makes_the_audit_log_forget_the_last_30_days(
    call: str, connection: WorkerConnection
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="30 days"):
        connection.execute(f"select {call}".encode(), [TENANT] if "%s" in call else [])


@pytest.mark.parametrize(
    "call",
    [
        "forget_audit(null, 30, 1)",
        "forget_audit_of_nobody(30, 1)",
        "note_forgotten(null, 'x', 1, 1)",
    ],
)
def test_the_application_has_no_way_of_deleting(call: str, seeded: Database) -> None:
    with (
        psycopg.connect(seeded.app) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(f"select {call}".encode())


@pytest.mark.parametrize("statement", ["delete from audit_log", "select * from audit_log"])
def test_the_worker_reaches_the_audit_log_by_no_other_way(
    statement: str, connection: WorkerConnection
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


def test_what_somebody_has_to_do_with_stays(
    seeded: Database, admin: psycopg.Connection, retention: Retention
) -> None:
    old = days_ago(100)
    open_ones = {"status": "open", "status_reason": None}
    put_signal(admin, 1, old)
    put_signal(admin, 2, old, **open_ones)
    put_signal(admin, 3, old, status="investigating", status_reason=None, shadow=True)
    put_signal(admin, 4, old, **open_ones, shadow=True)
    put_signal(admin, 5, old, **open_ones, exception=Jsonb({"reason": "known"}))
    put_signal(admin, 6, old, **open_ones, raised=False, verdict="inconclusive")
    put_signal(admin, 7, old, updated_at=days_ago(5))
    for number in range(1, 8):
        put_copy(admin, number, old)
    assert retention.round()
    found = rows(seeded.admin, "select id from signals order by id")
    assert [int.from_bytes(row["id"]) for row in found] == [2, 3, 7]
    copies = rows(seeded.admin, "select trace_id from trace_copies order by trace_id")
    assert [int.from_bytes(row["trace_id"]) for row in copies] == [2, 3, 7]
    spans = rows(seeded.admin, "select distinct trace_id from trace_spans")
    assert len(spans) == 3
    keep(admin, {"open_signals": 30})
    assert retention.round()
    assert [row["id"][-1] for row in rows(seeded.admin, "select id from signals")] == [7]


def test_a_trace_stays_as_long_as_anything_shows_it(
    seeded: Database, admin: psycopg.Connection, retention: Retention
) -> None:
    put_signal(admin, 1, days_ago(100))
    put_signal(admin, 2, days_ago(100), trace_id=trace_id(1), status="open", status_reason=None)
    put_copy(admin, 1, days_ago(100))
    put_copy(admin, 3, days_ago(100))
    backtest_id = put_backtest(admin, days_ago(5))
    insert(
        admin,
        "backtest_results",
        tenant_id=TENANT,
        backtest_id=backtest_id,
        partition=0,
        rule_id=RULE,
        trace_id=trace_id(3),
        was="",
        now="violated",
        begin_at=days_ago(100),
        root_name="a",
        root_service="a",
        span_count=1,
        log_first_offset=0,
        log_last_offset=0,
        now_outcome=Jsonb({}),
        copied=True,
    )
    put_copy(admin, 4, days_ago(100))
    put_copy(admin, 1, days_ago(100), OTHER_TENANT)
    assert retention.round()
    kept = rows(seeded.admin, "select trace_id from trace_copies where tenant_id = %s", TENANT)
    assert sorted(int.from_bytes(row["trace_id"]) for row in kept) == [1, 3]
    assert left(seeded, OTHER_TENANT)["traces"] == 0, "what shows it is another tenant's"


def step(what: str, most: int) -> Step:
    found = next(each for each in (*STEPS, COPIES) if each.what == what)
    return Step(found.what, found.kind, found.statement, most)


@pytest.mark.parametrize("what", [what for what in KINDS if what not in ("usage", "redactions")])
def test_a_batch_takes_the_oldest_and_no_more_than_it_may(
    what: str, admin: psycopg.Connection, seeded: Database, connection: WorkerConnection
) -> None:
    keep(admin, ALL_SHORT)
    for age in (100, 101, 102):
        put_one_of_each(admin, days_ago(age))
    first = made(seeded.worker).batch(connection, UUID(TENANT), step(what, 2), after=BEGINNING)
    assert (first.row_count, first.seen_count) == (2, 2)
    assert left(seeded) == {**dict.fromkeys(TABLES, 3), what: 1}
    second = made(seeded.worker).batch(connection, UUID(TENANT), step(what, 2), after=first.last_at)
    assert (second.row_count, second.seen_count) == (1, 1)


class Died(Exception):
    """The process ends here."""


class DiesAfter(Retention):
    """Dies after so many batches that deleted something."""

    batches = 3

    def batch(self, *args: Any, **kwargs: Any) -> Batch:
        done = super().batch(*args, **kwargs)
        self.batches -= done != NOTHING and done.row_count > 0
        if self.batches == 0:
            raise Died
        return done


def test_a_round_after_a_crash_goes_on_and_nothing_is_told_twice_or_never(
    seeded: Database, admin: psycopg.Connection
) -> None:
    keep(admin, ALL_SHORT)
    for age in range(60, 70):
        put_one_of_each(admin, days_ago(age))
    dying = DiesAfter(
        connect=partial(connect, seeded.worker, name="test"),
        metrics=Metrics(),
        stop=threading.Event(),
    )
    with pytest.raises(Died):
        dying.round()
    assert left(seeded)["signals"] == 0
    assert left(seeded)["audit"] == 10
    assert told(seeded) == {}
    assert made(seeded.worker).round()
    gone = dict.fromkeys(TABLES, 10) | {"usage": 0, "redactions": 0}
    assert left(seeded) == {what: 10 - n for what, n in gone.items()}
    assert told(seeded) == {what: n for what, n in gone.items() if n}


def test_a_batch_that_fails_deletes_nothing(
    seeded: Database, admin: psycopg.Connection, connection: WorkerConnection
) -> None:
    put_signal(admin, 1, days_ago(100))
    admin.execute("revoke insert on retention_ledger from betrace_worker")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        made(seeded.worker).batch(connection, UUID(TENANT), STEPS[0], after=BEGINNING)
    assert left(seeded)["signals"] == 1


def test_rows_that_somebody_works_on_are_left_for_the_next_round(
    seeded: Database, admin: psycopg.Connection, retention: Retention
) -> None:
    put_signal(admin, 1, days_ago(100))
    put_signal(admin, 2, days_ago(100))
    with psycopg.connect(seeded.admin) as busy:
        busy.execute("select from signals where id = %s for update", [(1).to_bytes(16, "big")])
        assert retention.round()
        assert left(seeded)["signals"] == 1
    assert retention.round()
    assert left(seeded)["signals"] == 0


def test_a_hold_that_comes_in_the_middle_waits_for_the_batch_and_stops_the_next(
    seeded: Database, admin: psycopg.Connection, connection: WorkerConnection
) -> None:
    put_signal(admin, 1, days_ago(100))
    with psycopg.connect(seeded.app) as holder:
        holder.execute("select set_config('app.tenant_id', %s, true)", [TENANT])
        holder.execute(
            "select pg_advisory_xact_lock(hashtext('retention'), hashtext(scope_tenant()::text))"
        )
        connection.execute("set lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            made(seeded.worker).batch(connection, UUID(TENANT), STEPS[0], after=BEGINNING)
        holder.execute(
            "update tenants set held_at = now(), held_by = 'tenant' where id = scope_tenant()"
        )
    done = made(seeded.worker).batch(connection, UUID(TENANT), STEPS[0], after=BEGINNING)
    assert (done, left(seeded)["signals"]) == (NOTHING, 1)


def test_two_workers_do_not_sweep_at_once(
    seeded: Database, admin: psycopg.Connection, connection: WorkerConnection
) -> None:
    put_signal(admin, 1, days_ago(100))
    assert connection.execute("select pg_try_advisory_lock(hashtext('retention'), 0)").fetchone()
    assert made(seeded.worker).round()
    assert left(seeded)["signals"] == 1


def test_what_belongs_to_no_tenant_goes_as_well(
    seeded: Database, admin: psycopg.Connection, retention: Retention
) -> None:
    gone_tenant = str(uuid4())
    put_letter(admin, 1, days_ago(31), None)
    put_letter(admin, 2, days_ago(29), None)
    for tenant in (None, gone_tenant):
        put_audit(admin, days_ago(401), tenant)
        put_audit(admin, days_ago(399), tenant)
    assert retention.round()
    letters = rows(seeded.admin, "select letter_offset from dead_letters")
    assert [row["letter_offset"] for row in letters] == [2]
    audit = rows(seeded.admin, "select tenant_id from audit_log order by tenant_id")
    assert [row["tenant_id"] for row in audit] == [UUID(gone_tenant), None]


def test_metrics_say_what_was_deleted_and_when_all_was(
    seeded: Database, admin: psycopg.Connection
) -> None:
    put_signal(admin, 1, days_ago(100))
    metrics = Metrics()
    retention = Retention(
        connect=partial(connect, seeded.worker, name="test"),
        metrics=metrics,
        stop=threading.Event(),
    )
    assert retention.round()
    assert sample(metrics, "betrace_worker_forgotten_total", what="signals") == 1
    finished = sample(metrics, "betrace_worker_retention_finished_timestamp_seconds")
    assert abs(finished - datetime.now(UTC).timestamp()) < 600


def test_a_worker_that_stops_leaves_the_rest(seeded: Database, admin: psycopg.Connection) -> None:
    put_signal(admin, 1, days_ago(100))
    stop = threading.Event()
    stop.set()
    assert not made(seeded.worker, stop).round()
    assert left(seeded)["signals"] == 1


@pytest.mark.parametrize(
    ("what", "index"),
    [
        ("signals", "signals_over"),
        ("open_signals", "signals_newest"),
        ("folds", "signal_folds_newest"),
        ("dead_letters", "dead_letters_newest"),
        ("backtests", "backtests_by_end"),
        ("accounts", "stats_minutes_pkey"),
        ("rule_accounts", "rule_stats_minutes_pkey"),
        ("usage", "usage_days_pkey"),
        ("redactions", "redaction_counts_pkey"),
        ("traces", "trace_copies_newest"),
    ],
)
def test_old_rows_are_found_by_an_index(
    what: str, index: str, seeded: Database, connection: WorkerConnection
) -> None:
    """With sequential scans made dear: a table with few rows would be read whole."""
    from api.worker.retention import _statement

    connection.execute("set enable_seqscan = off")
    plan = connection.execute(
        (b"explain (costs off) " + _statement(step(what, 10).statement).encode()),
        {"tenant_id": TENANT, "before": NOW, "days": 40, "after": BEGINNING, "most": 10},
    ).fetchall()
    text = "\n".join(row["QUERY PLAN"] for row in plan)
    assert index in text, text
    assert "Seq Scan" not in text.replace("Seq Scan on rules", "")


def test_an_owner_without_superuser_rights_forgets_as_well(postgres: Server) -> None:
    """Row-level security binds the owner too: the functions have policies of their own."""
    database = postgres.owned_database()
    with psycopg.connect(database.admin, autocommit=True) as connection:
        for tenant in (TENANT, OTHER_TENANT):
            insert(connection, "tenants", id=tenant, name=tenant, settings=Jsonb({}))
        for tenant in (TENANT, OTHER_TENANT, str(uuid4()), None):
            put_audit(connection, days_ago(401), tenant)
            put_audit(connection, days_ago(399), tenant)
        connection.execute(
            "update tenants set held_at = now(), held_by = 'operator' where id = %s", [TENANT]
        )
    assert made(database.worker).round()
    assert (left(database)["audit"], left(database, OTHER_TENANT)["audit"]) == (2, 1)
    assert told(database, OTHER_TENANT) == {"audit": 1}
    assert len(rows(database.admin, "select from audit_log where action = 'rule.changed'")) == 5


def test_every_kind_of_thing_has_a_step() -> None:
    assert {each.kind for each in STEPS} == set(Kind)
