"""Policies of redaction and the vault of tokens for tests: rows past the service."""

from __future__ import annotations

from typing import Final

import psycopg

from api.auth.principal import TenantScope

TOKEN: Final = f"tok:00000000-0000-4000-8000-00000000beef:{'0' * 32}"


def insert_redaction(dsn: str, scope: TenantScope) -> None:
    """Write the first version of a policy, a token, a count, and that there is a new key.

    dsn: of the application role.
    """
    with psycopg.connect(dsn) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        connection.execute(
            "insert into redaction_policies (tenant_id, version, form, author)"
            " values (%s, 1, '{\"format\": 1}', 'betrace')",
            [scope.tenant_id],
        )
        connection.execute(
            "insert into redaction_vault (tenant_id, token, sealed) values (%s, %s, 'enc:x')",
            [scope.tenant_id, TOKEN],
        )
        connection.execute(
            "insert into redaction_counts (tenant_id, day, policy_version, what, count)"
            " values (%s, current_date, 1, 'email', 7)",
            [scope.tenant_id],
        )
        connection.execute(
            "insert into redaction_rekeyings (tenant_id, key_id) values (%s, gen_random_uuid())",
            [scope.tenant_id],
        )
