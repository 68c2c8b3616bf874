"""Builders of what a tenant has: keys, people, rules, signals, traces, as the services and the
worker write them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from api.auth.addresses import parse_networks
from api.auth.principal import Role, TenantScope, grant_scope
from api.database import Pool
from api.keys.authority import OPERATOR
from api.keys.model import KeyDraft, MadeKey
from api.keys.service import KeyMaker, create_key
from api.operators.making import create_operator_key
from api.tenants.service import create_tenant, create_user
from api.tenants.settings import TenantSettings
from api.worker.database import connect
from api.worker.sums import settle
from tests.support.postgres import Database

PEPPER = b"a pepper for tests, of 32 characters or more"
PASSWORD = "correct horse battery staple"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def scope_of(tenant_id: UUID) -> TenantScope:
    """Return the scope of the test in a tenant."""
    return grant_scope(tenant_id, actor="test")


async def make_tenant(pool: Pool) -> TenantScope:
    """Make a tenant with the default settings."""
    tenant = await create_tenant(pool, f"tenant-{uuid4()}", TenantSettings(), grant=scope_of)
    return scope_of(tenant.id)


async def make_key(pool: Pool, scope: TenantScope, role: Role = Role.ADMIN) -> str:
    """Make an API key and return it."""
    return (await add_key(pool, scope, role=role)).text


async def add_key(pool: Pool, scope: TenantScope, **fields: Any) -> MadeKey:
    """Make an API key with the fields of a `KeyDraft`, of a name of its own if none is given."""
    draft = KeyDraft(**{"name": f"key-{uuid4()}", **fields})
    return await create_key(
        pool, scope, draft, maker=KeyMaker(PEPPER, most=10_000), authority=OPERATOR
    )


async def add_operator(
    pool: Pool, name: str = "", *, lifetime: timedelta = timedelta(days=1), networks: str = ""
) -> str:
    """Make an operator and return the key. networks: where it is good, empty: anywhere."""
    return await create_operator_key(
        pool,
        name or f"op-{uuid4()}",
        lifetime=lifetime,
        networks=parse_networks([networks] if networks else []),
        pepper=PEPPER,
        actor="operator:test",
    )


async def make_user(pool: Pool, scope: TenantScope, role: Role = Role.ADMIN) -> str:
    """Make a person with PASSWORD and return their address."""
    email = f"{uuid4()}@example.com"
    await create_user(pool, scope, email=email, name="Ada", role=role, password=PASSWORD)
    return email


def insert_member(database: Database, scope: TenantScope, role: Role = Role.DEVELOPER) -> str:
    """Write somebody without a password who belongs to the tenant; return their id."""
    user_id = uuid4()
    with psycopg.connect(database.admin) as connection:
        connection.execute(
            "insert into users (id, email, name, password_hash) values (%s, %s, 'Ada', '')",
            [user_id, f"{user_id}@example.com"],
        )
        connection.execute(
            "insert into memberships (tenant_id, user_id, role) values (%s, %s, %s)",
            [scope.tenant_id, user_id, role.value],
        )
    return str(user_id)


def insert_rule(
    dsn: str, scope: TenantScope, rule_id: str = "promise", *, version: int = 1, name: str = ""
) -> str:
    """Write a rule with one version, past the API. dsn: of the application role."""
    with psycopg.connect(dsn) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        connection.execute(
            "insert into rules (tenant_id, id, state, current_version)"
            " values (%s, %s, 'active', %s)",
            [scope.tenant_id, rule_id, version],
        )
        connection.execute(
            "insert into rule_versions (tenant_id, rule_id, version, state, object, text,"
            " canonical, language, deleted, author)"
            " values (%s, %s, %s, 'active', %s, %s, %s, 1, false, 'test')",
            [
                scope.tenant_id,
                rule_id,
                version,
                Jsonb({"id": rule_id, **({"name": name} if name else {})}),
                *(["when { a } never { b }"] * 2),
            ],
        )
    return rule_id


def settle_sums(database: Database) -> None:
    """Put all sums of signals together, as the worker does."""
    with connect(database.worker, name="test") as connection:
        while settle(connection):
            pass


def insert_signal(dsn: str, scope: TenantScope, **columns: Any) -> str:
    """Write a signal as the worker does and return its id. dsn: of the worker's role."""
    judged_at = columns.get("judged_at", NOON)
    row = {
        "tenant_id": scope.tenant_id,
        "id": secrets.token_bytes(16),
        "revision": 1,
        "rule_id": "promise",
        "rule_version": 1,
        "rule_name": "A promise",
        "severity": "high",
        "verdict": "violated",
        "broken_clause": "never",
        "trace_id": secrets.token_bytes(16),
        "root_name": "GET /",
        "root_service": "shop",
        "span_count": 2,
        "first_span_at": judged_at - timedelta(seconds=3),
        "last_span_at": judged_at - timedelta(seconds=2),
        "closed_at": judged_at,
        "judged_at": judged_at,
        "log_partition": 0,
        "log_first_offset": 10,
        "log_last_offset": 11,
        **columns,
    }
    with psycopg.connect(dsn) as connection:
        connection.execute(_insert("signals", row), row)
    signal_id: bytes = row["id"]
    return signal_id.hex()


def update_signal(dsn: str, scope: TenantScope, signal_id: str, **columns: Any) -> None:
    """Change columns of a signal as the worker does."""
    changes = ", ".join(f"{name} = %({name})s" for name in columns)
    with psycopg.connect(dsn) as connection:
        connection.execute(
            f"update signals set {changes} where tenant_id = %(tenant)s and id = %(signal)s",
            {**columns, "tenant": scope.tenant_id, "signal": bytes.fromhex(signal_id)},
        )


def insert_note(dsn: str, scope: TenantScope, text: str = "Seen.", *, author: str = "test") -> str:
    """Write a note on some signal of the tenant; return its id. dsn: of the application role."""
    with psycopg.connect(dsn) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        made = connection.execute(
            "insert into signal_notes (tenant_id, id, signal_id, text, text_hash, author)"
            " select tenant_id, %s, id, %s, sha256(%s), %s from signals order by id limit 1"
            " returning id",
            [uuid4(), text, text.encode(), author],
        ).fetchone()
    assert made is not None, "a note needs a signal"
    return str(made[0])


def insert_link(dsn: str, scope: TenantScope, signal_id: str) -> str:
    """Link a signal to another one of the tenant; return the id of that.

    dsn: of the application role.
    """
    with psycopg.connect(dsn) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        made = connection.execute(
            "insert into signal_links (tenant_id, signal_id, other_id, linked_by)"
            " select tenant_id, least(id, %(id)s), greatest(id, %(id)s), 'test'"
            " from signals where id <> %(id)s order by id limit 1"
            " returning case when signal_id = %(id)s then other_id else signal_id end",
            {"id": bytes.fromhex(signal_id)},
        ).fetchone()
    assert made is not None, "a link needs another signal"
    return bytes(made[0]).hex()


def insert_snooze(dsn: str, scope: TenantScope, *, reason: str = "maintenance") -> str:
    """Write a snooze of the rule `promise` for an hour; return its id. dsn: of the application."""
    row = {
        "tenant_id": scope.tenant_id,
        "id": uuid4(),
        "rule_id": "promise",
        "until_at": datetime.now(UTC) + timedelta(hours=1),
        "reason": reason,
        "actor": "test",
    }
    with psycopg.connect(dsn) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        connection.execute(_insert("rule_snoozes", row), row)
    return str(row["id"])


def insert_view(
    dsn: str, scope: TenantScope, name: str = "Mine", *, shared: bool = False, owner: str = "test"
) -> str:
    """Write a saved view; return its id. dsn: of the application role."""
    row = {
        "tenant_id": scope.tenant_id,
        "id": uuid4(),
        "name": name,
        "query": "status=open",
        "owner": owner,
        "shared": shared,
    }
    with psycopg.connect(dsn) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        connection.execute(_insert("saved_views", row), row)
    return str(row["id"])


def insert_bulk_change(dsn: str, scope: TenantScope) -> str:
    """Write that nothing was changed at once; return its id. dsn: of the application role."""
    what = {
        "status": "investigating",
        "disposition": None,
        "assigns": False,
        "assignee": None,
        "skipped": 0,
        "left": 0,
    }
    row = {
        "tenant_id": scope.tenant_id,
        "id": uuid4(),
        "actor": "test",
        "what": Jsonb(what),
        "items": Jsonb([]),
    }
    with psycopg.connect(dsn) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        connection.execute(_insert("signal_bulk_changes", row), row)
    return str(row["id"])


def insert_fold(dsn: str, scope: TenantScope, **columns: Any) -> None:
    """Write what was folded in a lane and minute as the worker does. dsn: of the worker's role."""
    minute = columns.get("minute", NOON)
    row = {
        "tenant_id": scope.tenant_id,
        "rule_id": "promise",
        "rule_version": 1,
        "minute": minute,
        "lane": 0,
        "revision": 1,
        "rule_name": "Promise",
        "severity": "high",
        "raised": 7,
        "renewed": 0,
        "withdrawn": 0,
        "first_at": minute + timedelta(seconds=1),
        "last_at": minute + timedelta(seconds=9),
        **columns,
    }
    with psycopg.connect(dsn) as connection:
        connection.execute(_insert("signal_folds", row), row)


def insert_letter(dsn: str, scope: TenantScope | None, *, offset: int = 0, **columns: Any) -> str:
    """Write a dead letter as the worker does and return its id. dsn: of the worker's role.

    scope: None for a letter that names no tenant.
    """
    row = {
        "letter_partition": secrets.randbelow(2**31),
        "letter_offset": offset,
        "tenant_id": scope.tenant_id if scope else None,
        "source": "ingest",
        "code": "otlp.malformed",
        "detail": "the body is not an ExportTraceServiceRequest",
        "topic": "",
        "log_partition": 0,
        "log_offset": 0,
        "content": b"\xff\xff",
        "at": NOON,
        **columns,
    }
    with psycopg.connect(dsn) as connection:
        connection.execute(_insert("dead_letters", row), row)
    return f"{row['letter_partition']}-{row['letter_offset']}"


def insert_notice(database: Database, scope: TenantScope, **columns: Any) -> str:
    """Write the notice of a quarantine as the worker and the application do; return its id."""
    figures = {
        "over_budget": 412,
        "judged": 980,
        "minutes": 4,
        "since": NOON.isoformat(),
        "until": (NOON + timedelta(minutes=6)).isoformat(),
    }
    row = {
        "tenant_id": scope.tenant_id,
        "id": uuid4(),
        "kind": "over_budget",
        "rule_id": "promise",
        "rule_version": 1,
        "figures": Jsonb(figures),
        **columns,
    }
    told = {"acted_at": NOON, "quarantined_version": 2}
    with psycopg.connect(database.worker) as connection:
        connection.execute(_insert("notices", row), row)
    with psycopg.connect(database.app) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        connection.execute(
            "update notices set acted_at = %(acted_at)s,"
            " quarantined_version = %(quarantined_version)s where id = %(id)s",
            {**told, "id": row["id"]},
        )
    return str(row["id"])


def insert_trace(dsn: str, scope: TenantScope, trace_id: str, *names: str) -> None:
    """Write the copy of a trace: a root and its children, one a name. dsn: of the worker's role."""
    with psycopg.connect(dsn) as connection:
        copy = {
            "tenant_id": scope.tenant_id,
            "trace_id": bytes.fromhex(trace_id),
            "root_name": names[0],
            "root_service": "shop",
            "services": ["shop"],
            "span_count": len(names),
            "whole": True,
            "first_span_at": NOON,
            "last_span_at": NOON,
            "log_partition": 0,
            "log_first_offset": 10,
            "log_last_offset": 11,
        }
        connection.execute(_insert("trace_copies", copy), copy)
        for ordinal, name in enumerate(names):
            span = {
                "tenant_id": scope.tenant_id,
                "trace_id": bytes.fromhex(trace_id),
                "ordinal": ordinal,
                "span_id": bytes([ordinal + 1] * 8),
                "parent_span_id": bytes([1] * 8) if ordinal else None,
                "name": name,
                "service": "shop",
                "kind": "server",
                "status": "ok",
                "start_ns": 2**63 + ordinal,
                "end_ns": 2**63 + 1_000,
                "attributes": Jsonb({"amount": 12}),
            }
            connection.execute(_insert("trace_spans", span), span)
        index_trace(connection, scope, trace_id)


def insert_sample(dsn: str, scope: TenantScope, **columns: Any) -> str:
    """Write a sample of two spans and return its id. dsn: of the application role."""
    row = {
        "tenant_id": scope.tenant_id,
        "id": uuid4(),
        "name": "A payment",
        "spans": Jsonb(
            [
                {"name": "POST /pay", "id": "s1", "service": "shop", "start": "0ms"},
                {"name": "payment.charge", "id": "s2", "parent": "s1", "start": "5ms"},
            ]
        ),
        "span_count": 2,
        "trace_count": 1,
        "services": ["shop"],
        "redaction_version": 0,
        "created_by": "test",
        **columns,
    }
    with psycopg.connect(dsn) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        connection.execute(_insert("trace_samples", row), row)
    return str(row["id"])


def insert_case(dsn: str, scope: TenantScope, *, name: str = "A case") -> dict[str, str]:
    """Write a case of `promise` and a run of it; return their ids. dsn: of the application role."""
    ids = {"case_id": str(uuid4()), "run_id": str(uuid4())}
    row = {**ids, "tenant": scope.tenant_id, "sample": "retry-storm", "name": name}
    with psycopg.connect(dsn) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        connection.execute(
            "insert into rule_cases (tenant_id, id, rule_id, name, library_id, expect, created_by)"
            " values (%(tenant)s, %(case_id)s, 'promise', %(name)s, %(sample)s, 'violated',"
            " 'test')",
            row,
        )
        connection.execute(
            "insert into case_runs (tenant_id, id, actor, rule_id, draft, case_count,"
            " passed_count, duration_ms, digest) values (%(tenant)s, %(run_id)s, 'test',"
            " 'promise', false, 1, 1, 5, sha256('x'))",
            row,
        )
        connection.execute(
            "insert into case_results (tenant_id, run_id, place, rule_id, rule_version, text_hash,"
            " case_id, case_name, sample, expect, verdict, passed) values (%(tenant)s,"
            " %(run_id)s, 0, 'promise', 1, sha256('x'), %(case_id)s, %(name)s, %(sample)s,"
            " 'violated', 'violated', true)",
            row,
        )
    return ids


def index_trace(connection: psycopg.Connection, scope: TenantScope, trace_id: str) -> None:
    """Let a stored trace be found, as the worker does. The connection is of the worker's role."""
    connection.execute("select index_trace(%s, %s)", [scope.tenant_id, bytes.fromhex(trace_id)])


def insert_backtest(
    dsn: str,
    scope: TenantScope,
    *rules: dict[str, Any],
    state: str = "queued",
    **columns: Any,
) -> str:
    """Write a backtest as the service does, and return its id. dsn: of the application's role.

    rules: as stored; without any, of one draft of `promise`.
    """
    text = {"version": None, "text": "when { a } never { b }"}
    a_rule = {"id": "promise", "name": "A promise", "severity": "high", "now": text, "was": None}
    row = {
        "tenant_id": scope.tenant_id,
        "id": uuid4(),
        "state": state,
        "requested_by": "user:ada@example.com",
        "from_at": NOON - timedelta(hours=1),
        "to_at": NOON,
        "rules": Jsonb(list(rules) or [a_rule]),
        "now_records": [b"record"],
        "was_records": [],
        **columns,
    }
    with psycopg.connect(dsn) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        connection.execute(_insert("backtests", row), row)
    return str(row["id"])


def insert_part(dsn: str, scope: TenantScope, backtest_id: str, **columns: Any) -> None:
    """Write a part of a backtest, done unless said otherwise. dsn: of the worker's role."""
    row = {
        "tenant_id": scope.tenant_id,
        "backtest_id": backtest_id,
        "partition": 0,
        "first_offset": 0,
        "end_offset": 100,
        "done_at": NOON,
        "records_read": 100,
        "span_count": 1_000,
        "trace_count": 50,
        **columns,
    }
    with psycopg.connect(dsn) as connection:
        connection.execute(_insert("backtest_parts", row), row)


def insert_count(
    dsn: str,
    scope: TenantScope,
    backtest_id: str,
    was: str,
    now: str,
    traces: int,
    *,
    rule_id: str = "promise",
) -> None:
    """Write a count of a rule. dsn: of the worker's role."""
    row = {
        "tenant_id": scope.tenant_id,
        "backtest_id": backtest_id,
        "partition": 0,
        "rule_id": rule_id,
        "was": was,
        "now": now,
        "trace_count": traces,
    }
    with psycopg.connect(dsn) as connection:
        connection.execute(_insert("backtest_counts", row), row)


def update_backtest(dsn: str, scope: TenantScope, backtest_id: str, **columns: Any) -> None:
    """Change columns of a backtest as the worker does. dsn: of the worker's role."""
    changes = ", ".join(f"{name} = %({name})s" for name in columns)
    with psycopg.connect(dsn) as connection:
        connection.execute(
            f"update backtests set {changes} where tenant_id = %(tenant)s and id = %(id)s",
            {**columns, "tenant": scope.tenant_id, "id": backtest_id},
        )


def insert_result(dsn: str, scope: TenantScope, backtest_id: str, **columns: Any) -> None:
    """Write a result of a part that is there. dsn: of the worker's role."""
    row = result_row(scope, backtest_id, **columns)
    with psycopg.connect(dsn) as connection:
        connection.execute(_insert("backtest_results", row), row)


def result_row(scope: TenantScope, backtest_id: str, **columns: Any) -> dict[str, Any]:
    """Return a row of results as the worker writes it."""
    outcome = {
        "broken": "never",
        "reasons": [],
        "incomplete": False,
        "judged_ms": int(NOON.timestamp() * 1000),
        "signal_id": "",
        "revision": 0,
    }
    return {
        "tenant_id": scope.tenant_id,
        "backtest_id": backtest_id,
        "partition": 0,
        "rule_id": "promise",
        "trace_id": secrets.token_bytes(16),
        "was": "",
        "now": "violated",
        "begin_at": NOON,
        "root_name": "GET /",
        "root_service": "shop",
        "span_count": 2,
        "log_first_offset": 1,
        "log_last_offset": 2,
        "now_outcome": Jsonb(outcome),
        **columns,
    }


def _insert(table: str, row: dict[str, Any]) -> bytes:
    names = ", ".join(row)
    values = ", ".join(f"%({name})s" for name in row)
    return f"insert into {table} ({names}) values ({values})".encode()
