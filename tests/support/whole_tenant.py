"""A tenant with a row in every table that belongs to tenants, and how many those are."""

from __future__ import annotations

import json
from typing import Final

import psycopg
from psycopg import sql

from api.auth.principal import TenantScope
from api.database import Pool, tenant_transaction
from api.rules.definitions import Form, read_definition
from api.rules.service import apply_in
from tests.support.filled import Filled, filled_tenant
from tests.support.postgres import Database
from tests.support.tenants import insert_signal, make_user

PROOFS: Final = "deletion_proofs"
RULE: Final = "announced"
"""The rule of a whole tenant that is judged, and that the job was told of."""
_MORE: Final = (
    "update rules set state = 'off' where tenant_id = %(tenant)s and id <> 'announced'",
    "insert into rule_stats_minutes (tenant_id, rule_id, rule_version, minute, lane, revision,"
    " violated, satisfied, not_applicable, inconclusive)"
    " values (%(tenant)s, 'promise', 1, now(), 0, 1, 1, 2, 3, 4)",
    "insert into stats_minutes (tenant_id, minute, lane, revision, counts)"
    " values (%(tenant)s, now(), 0, 1, '{\"received\": 7}')",
    "insert into usage_days (tenant_id, day, spans) values (%(tenant)s, '2026-11-23', 7)",
    "insert into retention_ledger (tenant_id, day, what, days, row_count)"
    " values (%(tenant)s, '2026-11-23', 'signals', 90, 7)",
    "insert into trace_tasks (tenant_id, signal_id, urgency, due_at) select %(tenant)s, id, 2,"
    " 'infinity' from signals where tenant_id = %(tenant)s limit 1",
    "insert into trace_budgets (tenant_id, rule_id, hour, taken)"
    " values (%(tenant)s, 'promise', now(), 1)",
    "insert into backtest_handed (tenant_id, backtest_id, partition, side, number, item_count,"
    " packed) select %(tenant)s, backtest_id, partition, 'now', 0, 1, 'x' from backtest_parts"
    " where tenant_id = %(tenant)s limit 1",
    "insert into sessions (token_hash, user_id, tenant_id, csrf_token, expires_at) select"
    " sha256(user_id::text::bytea), user_id, tenant_id, 'x', now() + interval '1 hour'"
    " from memberships where tenant_id = %(tenant)s limit 1",
    "insert into evidence_inbox (tenant_id, kind, id, time_ms, controls, outcome, head)"
    " values (%(tenant)s, 'act', 'x', 1, '{}', 'success', 'x')",
    "insert into signal_sums select * from signal_counts where tenant_id = %(tenant)s",
    "insert into signal_group_sums select * from signal_group_counts where tenant_id = %(tenant)s",
    "update signals set status = 'investigating' where tenant_id = %(tenant)s",
)


async def whole_tenant(pool: Pool, database: Database, *, signals: int = 1) -> Filled:
    """Make a tenant with something of everything: two members, of them one admin; two rules."""
    filled = await filled_tenant(pool, database)
    await make_user(pool, filled.scope)
    text = json.dumps({"id": RULE, "name": filled.mark, "rule": "when { a } never { b }"})
    definition = read_definition(text, form=Form.JSON)
    async with tenant_transaction(pool, filled.scope) as connection:
        await apply_in(connection, filled.scope, [definition])
    for _ in range(signals - 1):
        insert_signal(database.worker, filled.scope)
    with psycopg.connect(database.admin) as connection_:
        for statement in _MORE:
            connection_.execute(statement.encode(), {"tenant": filled.scope.tenant_id})
    return filled


def rows_of(database: Database, scope: TenantScope) -> dict[str, int]:
    """Return how many rows of the tenant each table has, of those that have a column for it."""
    with psycopg.connect(database.admin) as connection:
        tables = [
            row[0]
            for row in connection.execute(
                "select table_name from information_schema.columns"
                " join information_schema.tables using (table_schema, table_name)"
                " where table_schema = 'public' and table_type = 'BASE TABLE'"
                " and column_name = 'tenant_id' and table_name <> %s order by table_name",
                [PROOFS],
            )
        ]
        counts = {}
        for table in tables:
            query = sql.SQL("select count(*) from {} where tenant_id = %s")
            found = connection.execute(
                query.format(sql.Identifier(table)), [scope.tenant_id]
            ).fetchone()
            counts[table] = found[0] if found else 0
    return counts
