"""What the application's role sees by direct SQL: its tenant, and without one nothing."""

from __future__ import annotations

import secrets
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from api.auth.keys import hash_key
from api.auth.principal import Role, TenantScope
from api.database import (
    Pool,
    credential_transaction,
    purpose_transaction,
    tenant_transaction,
    vouched_transaction,
)
from api.identity.grants import Grant, Kind, put_grant
from api.invitations.model import InvitationMaker
from api.invitations.service import invite
from api.keys.authority import OPERATOR
from api.members.model import Terms
from tests.support.anchors import insert_target
from tests.support.keys import insert_key
from tests.support.policies import insert_redaction
from tests.support.postgres import Database
from tests.support.sealing import insert_evidence
from tests.support.tenants import (
    PEPPER,
    insert_backtest,
    insert_bulk_change,
    insert_case,
    insert_count,
    insert_fold,
    insert_link,
    insert_note,
    insert_notice,
    insert_part,
    insert_result,
    insert_rule,
    insert_sample,
    insert_signal,
    insert_snooze,
    insert_trace,
    insert_view,
    make_key,
    make_tenant,
    make_user,
    settle_sums,
)

TABLES_WITH_A_TENANT = [
    "memberships", "api_keys", "rules", "rule_versions", "rules_outbox", "signals",
    "signal_feed", "trace_copies", "trace_spans", "trace_search", "trace_samples", "rule_cases",
    "case_runs", "case_results", "backtests",
    "backtest_parts",
    "backtest_counts", "backtest_results", "notices", "signal_folds", "audit_log",
    "invitations", "provider_grants", "tenant_keys", "anchor_targets", "anchors",
    "evidence_logs", "evidence_records",
    "evidence_controls", "evidence_totals", "evidence_coverage", "evidence_nodes",
    "evidence_checkpoints", "evidence_payloads", "evidence_coverage_cursors",
    "evidence_acts_cursors", "evidence_outages", "evidence_days", "evidence_coverage_days",
    "evidence_services", "evidence_texts", "evidence_text_records", "evidence_text_days",
    "evidence_verifications", "evidence_verified",
    "redaction_policies", "redaction_vault", "redaction_counts", "redaction_rekeyings",
    "signal_notes", "signal_links", "signal_moves", "signal_sums", "signal_group_sums",
    "rule_snoozes", "saved_views", "signal_bulk_changes",
]  # fmt: skip


@pytest.fixture
async def filled(pool: Pool, shared_database: Database) -> TenantScope:
    """A tenant with a row in each table."""
    scope = await make_tenant(pool)
    await make_key(pool, scope)
    await make_user(pool, scope)
    grant = Grant(issuer="https://id.example", kind=Kind.GROUP, value="g", role=Role.SRE)
    await put_grant(pool, scope, grant)
    insert_rule(shared_database.app, scope)
    trace_id = secrets.token_hex(16)
    insert_signal(shared_database.worker, scope, trace_id=bytes.fromhex(trace_id))
    settle_sums(shared_database)
    insert_note(shared_database.app, scope)
    insert_link(shared_database.app, scope, insert_signal(shared_database.worker, scope))
    insert_snooze(shared_database.app, scope)
    insert_view(shared_database.app, scope)
    insert_bulk_change(shared_database.app, scope)
    insert_fold(shared_database.worker, scope)
    insert_trace(shared_database.worker, scope, trace_id, "root", "child")
    insert_sample(shared_database.app, scope)
    insert_case(shared_database.app, scope)
    backtest_id = insert_backtest(shared_database.app, scope)
    insert_part(shared_database.worker, scope, backtest_id)
    insert_count(shared_database.worker, scope, backtest_id, "", "violated", 1)
    insert_result(shared_database.worker, scope, backtest_id)
    insert_notice(shared_database, scope)
    insert_key(shared_database.app, scope)
    insert_evidence(shared_database, scope)
    insert_target(shared_database, scope)
    insert_redaction(shared_database.app, scope)
    await invite(
        pool,
        scope,
        "ada@example.com",
        Terms(Role.VIEWER),
        maker=InvitationMaker(PEPPER),
        authority=OPERATOR,
    )
    return scope


def _tenants_in(connection: psycopg.Connection, table: str) -> set[object]:
    query = sql.SQL("select distinct tenant_id from {}").format(sql.Identifier(table))
    return {row[0] for row in connection.execute(query)}


@pytest.mark.parametrize("table", TABLES_WITH_A_TENANT)
async def test_a_transaction_sees_the_rows_of_its_tenant_alone(
    table: str, filled: TenantScope, pool: Pool, shared_database: Database
) -> None:
    other = await make_tenant(pool)
    with psycopg.connect(shared_database.app) as connection:
        seen = {}
        for who, tenant_id in (("own", filled.tenant_id), ("other", other.tenant_id)):
            connection.execute("select set_config('app.tenant_id', %s, true)", [str(tenant_id)])
            seen[who] = _tenants_in(connection, table)
        connection.execute("select set_config('app.tenant_id', '', true)")
        seen["none"] = _tenants_in(connection, table)
    assert filled.tenant_id not in seen["other"]
    assert (seen["own"], seen["none"]) == ({filled.tenant_id}, set())


async def test_what_parts_of_backtests_hand_on_is_for_workers_alone(
    filled: TenantScope, pool: Pool, shared_database: Database
) -> None:
    async with tenant_transaction(pool, filled) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("select from backtest_handed")


async def test_a_row_cannot_be_written_for_another_tenant(
    filled: TenantScope, scope: TenantScope, pool: Pool
) -> None:
    async with tenant_transaction(pool, scope) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            await connection.execute(
                "insert into rules (tenant_id, id, state, current_version)"
                " values (%s, 'x', 'off', 1)",
                [filled.tenant_id],
            )


async def test_a_row_of_another_tenant_cannot_be_changed(
    filled: TenantScope, scope: TenantScope, pool: Pool
) -> None:
    async with tenant_transaction(pool, scope) as connection:
        changed = await connection.execute(
            "update signals set status = 'investigating' where tenant_id = %s", [filled.tenant_id]
        )
        assert changed.rowcount == 0


@pytest.mark.parametrize(
    "statement",
    [
        "update rule_versions set text = 'x'",
        "delete from rule_versions",
        "update predicate_numbers set number = 7",
        "delete from rules",
        "update signals set verdict = 'satisfied'",
        "insert into signals (tenant_id, id) select tenant_id, id from signals",
        "delete from signals",
        "delete from signal_history",
        "update signal_history set actor = 'nobody'",
        "delete from trace_spans",
        "update signal_folds set raised = 0",
        "delete from api_keys",
        "update api_keys set key_hash = ''",
        "update api_keys set scopes = '{rules.write}'",
        "update api_keys set networks = '{}'",
        "update api_keys set created_by = 'nobody'",
        "update backtests set problem = 'x'",
        "update backtest_parts set done_at = now()",
        "insert into backtest_results select * from backtest_results",
        "delete from backtest_counts",
        "update notices set figures = '{}'",
        "delete from notices",
        "delete from redaction_policies",
        "update redaction_policies set form = '{}'",
        "delete from redaction_vault",
        "update redaction_vault set sealed = 'enc:x'",
        "delete from redaction_counts",
        "update redaction_counts set what = 'email'",
        "delete from tenant_keys",
        "update tenant_keys set public_key = sha256('x')",
        "update tenant_keys set generation = 7",
        "update tenant_keys set created_at = now()",
    ],
)
async def test_the_application_may_not_rewrite_what_is_on_record(
    statement: str, filled: TenantScope, pool: Pool
) -> None:
    async with tenant_transaction(pool, filled) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement.encode())


def test_versions_cannot_be_changed_even_by_the_owner(
    filled: TenantScope, shared_database: Database
) -> None:
    with (
        psycopg.connect(shared_database.admin) as connection,
        pytest.raises(psycopg.errors.RestrictViolation, match="append-only"),
    ):
        connection.execute("update rule_versions set author = 'mallory'")


@pytest.mark.parametrize(
    "statement",
    [
        "update rules set state = 'off'",
        "insert into rules (tenant_id, id, state, current_version)"
        " select gen_random_uuid(), 'x', 'off', 1",
        "select * from users",
        "select * from api_keys",
        "select * from sessions",
        "select * from second_factors",
        "select * from recovery_codes",
        "select * from tickets",
        "select * from identities",
        "select * from provider_grants",
        "update tenant_keys set sealed = 'x'",
        "delete from tenant_keys",
        "select * from audit_log",
        "insert into redaction_policies select * from redaction_policies",
        "delete from redaction_vault",
        "update redaction_counts set count = 0",
        "delete from redaction_rekeyings",
    ],
)
def test_the_worker_has_no_business_with_people_and_rules(
    statement: str, shared_database: Database
) -> None:
    with (
        psycopg.connect(shared_database.worker) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


async def test_a_signal_of_a_rule_the_tenant_has_not_is_refused(
    filled: TenantScope, scope: TenantScope, shared_database: Database
) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="signals_rule_version"):
        insert_signal(shared_database.worker, scope)


async def test_a_presented_key_shows_its_own_row_and_nothing_else(
    filled: TenantScope, pool: Pool
) -> None:
    key = await make_key(pool, filled)
    async with credential_transaction(pool, hash_key(key, pepper=PEPPER)) as connection:
        keys = await (await connection.execute("select key_hash from api_keys")).fetchall()
        rules = await (await connection.execute("select id from rules")).fetchall()
        tenants = await (await connection.execute("select id from tenants")).fetchall()
    assert ([bytes(row["key_hash"]) for row in keys], rules, tenants) == (
        [hash_key(key, pepper=PEPPER)], [], [],
    )  # fmt: skip


async def test_whoever_is_vouched_for_is_one_identity_and_sees_what_the_provider_is_granted(
    filled: TenantScope, scope: TenantScope, pool: Pool, shared_database: Database
) -> None:
    issuers = [f"https://{uuid4()}.example" for _ in range(2)]
    for issuer in issuers:
        grant = Grant(issuer=issuer, kind=Kind.GROUP, value="g", role=Role.SRE)
        await put_grant(pool, scope, grant)
    with psycopg.connect(shared_database.admin) as connection:
        for issuer in issuers:
            for subject in ("ada", "eve"):
                connection.execute(
                    "with made as (insert into users (id, email, name, password_hash)"
                    " values (gen_random_uuid(), gen_random_uuid() || '@x', 'A', '') returning id)"
                    " insert into identities (issuer, subject, user_id)"
                    " select %s, %s, id from made",
                    [issuer, subject],
                )
    async with vouched_transaction(pool, issuer=issuers[0], subject="ada") as connection:
        seen = {
            table: await (await connection.execute(f"select * from {table}".encode())).fetchall()
            for table in ("identities", "provider_grants", "users", "memberships", "tenants")
        }
    assert [(row["issuer"], row["subject"]) for row in seen["identities"]] == [(issuers[0], "ada")]
    assert [row["issuer"] for row in seen["provider_grants"]] == [issuers[0]]
    assert [seen[table] for table in ("users", "memberships", "tenants")] == [[], [], []]


async def test_housekeeping_sees_what_waits_and_no_contents(
    filled: TenantScope, pool: Pool
) -> None:
    async with purpose_transaction(pool, "housekeeping") as connection:
        waiting = await (await connection.execute("select tenant_id from rules_outbox")).fetchall()
        signals = await (await connection.execute("select id from signals")).fetchall()
        users = await (await connection.execute("select id from users")).fetchall()
    assert filled.tenant_id in {row["tenant_id"] for row in waiting}
    assert (signals, users) == ([], [])


async def test_a_setting_does_not_outlive_its_transaction(filled: TenantScope, pool: Pool) -> None:
    async with tenant_transaction(pool, filled):
        pass
    async with pool.connection() as connection:
        row = await (
            await connection.execute("select current_setting('app.tenant_id', true) as tenant")
        ).fetchone()
    assert row is not None
    assert not row["tenant"]
