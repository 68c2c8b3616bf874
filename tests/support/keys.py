"""Keys of tenants for tests: on a local master key, and rows past the ring."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid4

import psycopg

from api.auth.principal import TenantScope
from api.database import Pool
from api.keyring.config import KeySettings, key_config
from api.keyring.wiring import Keys, open_keys

MASTER: Final = "test:9f1c5d27a3b8e604d1720fe9c58b3a6641fd0928be73c5a01764ed9b2f8ca35d"


def local_keys(pool: Pool) -> Keys:
    """Return the keys of an installation with a local master key."""
    settings = KeySettings.model_validate({"keys_provider": "local", "keys_master": MASTER})
    keys = open_keys(key_config(settings), pool)
    assert keys is not None
    return keys


def insert_key(dsn: str, scope: TenantScope, *, destroyed: bool = False) -> UUID:
    """Write a signing key whose private part opens with nothing. dsn: of the application role.

    destroyed: as the record of one without a private part, which nobody has to destroy any more.
    """
    key_id = uuid4()
    sealed = (None,) * 4 if destroyed else ("local", "m", "wrapped", b"x")
    with psycopg.connect(dsn) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        connection.execute(
            "insert into tenant_keys (tenant_id, id, purpose, generation, provider, master, form,"
            " sealed, destroyed_at, public_key, created_by) values (%s, %s, 'signing', 1, %s, %s,"
            " %s, %s, case when %s then now() end, sha256('x'), 'betrace')",
            [scope.tenant_id, key_id, *sealed, destroyed],
        )
    return key_id
