"""The schema: the sum of the migrations, there and back, under an ordinary owner."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from yoyo import get_backend, read_migrations

import sql
from api.auth.principal import TenantScope, grant_scope
from api.migrations import _yoyo_uri, migrate, pending, set_role_password
from tests.support.postgres import Database, Server
from tests.support.stored_traces import StoredSpan, store_trace
from tests.support.tenants import insert_rule, insert_signal, settle_sums

_COLUMNS = """
    select table_name, column_name, data_type, is_nullable, column_default
    from information_schema.columns where table_schema = 'public'
    order by table_name, column_name
"""
_OWNER = "select pg_get_userbyid(datdba) from pg_database where datname = current_database()"
_POLICIES = "select tablename, policyname, cmd, roles::text, qual, with_check from pg_policies"


def _schema(dsn: str) -> list[object]:
    with psycopg.connect(dsn) as connection:
        tables = connection.execute(_COLUMNS).fetchall()
        return [*tables, *sorted(connection.execute(_POLICIES).fetchall(), key=str)]


def _with_a_tenant(postgres: Server) -> tuple[Database, str, TenantScope]:
    """Return a database whose owner is no superuser, the owner's DSN, and a tenant in it."""
    database = postgres.owned_database()
    with psycopg.connect(database.admin) as connection:
        (owner,) = connection.execute(_OWNER).fetchone() or ()
        tenant = connection.execute(
            "insert into tenants (id, name, settings) values (gen_random_uuid(), 'a', '{}')"
            " returning id"
        ).fetchone()
    assert tenant is not None
    dsn = make_conninfo(database.admin, user=owner)
    return database, dsn, grant_scope(tenant[0], actor="test")


def _roll_back(dsn: str, *, to: str) -> None:
    """Take back the migration whose number is given and those after it."""
    backend = get_backend(_yoyo_uri(dsn))
    with backend.lock():
        done = backend.to_rollback(read_migrations(str(sql.MIGRATIONS)))
        backend.rollback_migrations(done.filter(lambda migration: migration.id >= to))
    backend.connection.close()


def _counts(database: Database) -> tuple[list[object], list[object]]:
    """Return what signals are counted as: in cells, and by group."""
    with psycopg.connect(database.admin) as connection:
        cells = connection.execute(
            "select day::text, service, rule_id, severity, tags, alerts, shadow, excepted, status,"
            " assignee_id, sum(signal_count) from signal_counts"
            " group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 order by 1, 2, 3, 4, 5"
        ).fetchall()
        groups = connection.execute(
            "select day::text, service, rule_id, group_id, severity, tags, alerts, shadow,"
            " excepted, status, sum(signal_count), min(first_at), max(last_at)"
            " from signal_group_counts"
            " group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 order by 1, 2, 3, 4, 5, 6"
        ).fetchall()
    return [*cells], [*groups]


def test_migrating_again_does_nothing(postgres: Server) -> None:
    dsn = postgres.empty_database()
    said: list[str] = []
    applied = migrate(dsn, say=said.append)
    assert (said, applied[0]) == (applied, "0001-roles")
    assert pending(dsn) == []
    assert migrate(dsn, say=said.append) == []


def test_rolling_back_and_forward_gives_the_same_schema(postgres: Server) -> None:
    dsn = postgres.empty_database()
    migrate(dsn, say=lambda _: None)
    before = _schema(dsn)
    backend = get_backend(_yoyo_uri(dsn))
    with backend.lock():
        backend.rollback_migrations(backend.to_rollback(read_migrations(str(sql.MIGRATIONS))))
    backend.connection.close()
    with psycopg.connect(dsn) as connection:
        left = connection.execute(
            "select tablename from pg_tables where schemaname = 'public' and tablename !~ 'yoyo'"
        ).fetchall()
    assert left == []
    migrate(dsn, say=lambda _: None)
    assert _schema(dsn) == before


def test_an_owner_without_superuser_rights_can_migrate_and_is_bound_by_policies(
    postgres: Server,
) -> None:
    database = postgres.owned_database()
    with psycopg.connect(database.admin) as connection:
        (owner,) = connection.execute(_OWNER).fetchone() or ()
    owner = make_conninfo(database.admin, user=owner)
    with psycopg.connect(owner) as connection:
        connection.execute("select set_config('app.tenant_id', %s, false)", ["0" * 32])
        connection.execute(
            "insert into tenants (id, name, settings) values (scope_tenant(), 'a', '{}')"
        )
        connection.execute("select set_config('app.tenant_id', '', false)")
        assert connection.execute("select * from tenants").fetchall() == []


def test_copies_that_were_made_before_are_found_after_migrating(postgres: Server) -> None:
    database, dsn, scope = _with_a_tenant(postgres)
    store_trace(database.worker, scope, StoredSpan(name="POST /pay", attributes={"amount": 12}))
    found = (
        "select trace_id, started_at, duration_ns, services, operations, terms from trace_search"
    )
    with psycopg.connect(database.admin) as connection:
        before = connection.execute(found).fetchall()
    _roll_back(dsn, to="0080")
    migrate(dsn, say=lambda _: None)
    with psycopg.connect(database.admin) as connection:
        assert connection.execute(found).fetchall() == before
    assert len(before) == 1


def test_counts_that_were_made_before_stand_after_migrating(postgres: Server) -> None:
    database, dsn, scope = _with_a_tenant(postgres)
    insert_rule(database.app, scope)
    insert_signal(database.worker, scope, services=["shop", "ledger"])
    settle_sums(database)
    insert_signal(database.worker, scope, tags=["pii"], group_fingerprint=b"g" * 16)
    before = _counts(database)
    _roll_back(dsn, to="0083")
    migrate(dsn, say=lambda _: None)
    assert _counts(database) == before
    settle_sums(database)
    assert _counts(database) == before
    assert len(before[0]) > len(before[1]) > 0


def test_every_table_with_a_tenant_forces_row_level_security(database: Database) -> None:
    with psycopg.connect(database.admin) as connection:
        open_tables = connection.execute(
            """
            select c.relname from pg_class c
            join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
            where c.relkind in ('r', 'p')
              and not (c.relrowsecurity and c.relforcerowsecurity)
              and c.relname !~ 'yoyo'
            """
        ).fetchall()
    assert open_tables == [("sign_in_failures",)]


def test_the_services_roles_own_nothing_and_bypass_nothing(database: Database) -> None:
    with psycopg.connect(database.admin) as connection:
        roles = connection.execute(
            "select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles"
            " where rolname in ('betrace_app', 'betrace_worker') order by rolname"
        ).fetchall()
        owned = connection.execute(
            "select relname from pg_class join pg_roles r on r.oid = relowner"
            " where r.rolname in ('betrace_app', 'betrace_worker')"
        ).fetchall()
    assert roles == [
        ("betrace_app", False, False, False, False),
        ("betrace_worker", False, False, False, False),
    ]
    assert owned == []


@pytest.mark.parametrize(
    ("dsn", "uri"),
    [
        ("postgresql://u:p%40@db:5433/n", "postgresql+psycopg://u:p%40@db:5433/n?"),
        ("host=db dbname=n user=u", "postgresql+psycopg://u@db/n?"),
        (
            "host=/run/pg dbname=n user=u sslmode=require",
            "postgresql+psycopg://u@/n?sslmode=require&host=%2Frun%2Fpg",
        ),
    ],
)
def test_every_form_of_dsn_is_understood(dsn: str, uri: str) -> None:
    assert _yoyo_uri(dsn) == uri


def test_a_role_gets_the_password_of_its_dsn(postgres: Server) -> None:
    dsn = postgres.empty_database()
    with psycopg.connect(dsn) as connection:
        connection.execute("drop role if exists somebody")
        connection.execute("create role somebody login")
    assert set_role_password(dsn, role_dsn="user=somebody password=it''s") is True
    assert set_role_password(dsn, role_dsn="user=somebody") is False
    with psycopg.connect(dsn) as connection:
        stored = connection.execute(
            "select rolpassword like 'SCRAM-SHA-256%' from pg_authid where rolname = 'somebody'"
        ).fetchone()
    assert stored == (True,)
