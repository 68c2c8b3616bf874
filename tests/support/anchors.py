"""Checkpoints in a database without a sequencer, and targets that take them, for tests."""

from __future__ import annotations

from hashlib import sha256
from typing import Final
from uuid import UUID, uuid4

import psycopg

from api.auth.principal import TenantScope
from tests.support.evidence import LocalSigner
from tests.support.postgres import Database
from udfs.evidence.checkpoints import Checkpoint
from udfs.evidence.tree import Frontier, leaf_hash

MINUTE_MS: Final = 60_000


def put_checkpoint(database: Database, scope: TenantScope, *, size: int, time_ms: int) -> bytes:
    """Let the log of a tenant have a size, sign a checkpoint of it, and return the note."""
    origin = f"betrace.example/log/{scope.tenant_id}"
    tree = Frontier()
    for number in range(size):
        tree.append(leaf_hash(b"%d" % number))
    root = tree.root()
    signer = LocalSigner.numbered(1)
    note = str(Checkpoint(origin, size, root, time_ms).sign([signer]))
    with psycopg.connect(database.admin) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        connection.execute(
            "insert into evidence_logs (tenant_id, origin, size, root, edge)"
            " values (%s, %s, %s, %s, %s) on conflict (tenant_id) do update"
            " set size = excluded.size, root = excluded.root, edge = excluded.edge",
            [scope.tenant_id, origin, size, root, b"".join(tree.edge)],
        )
        connection.execute(
            "insert into evidence_checkpoints"
            " (tenant_id, number, size, root, time_ms, key_id, note)"
            " select %(tenant)s, coalesce(max(number) + 1, 1), %(size)s, %(root)s, %(time_ms)s,"
            " %(key)s, %(note)s from evidence_checkpoints where tenant_id = %(tenant)s",
            {
                "tenant": scope.tenant_id,
                "size": size,
                "root": root,
                "time_ms": time_ms,
                "key": uuid4(),
                "note": note,
            },
        )
    return note.encode()


def insert_target(
    database: Database, scope: TenantScope, *, place: str = "https://a.example"
) -> UUID:
    """Write a time-stamping authority that the tenant uses, with an anchor that is done there.

    The anchor is of the newest checkpoint; one is made if there is none.
    """
    target, head = uuid4(), _newest(database, scope)
    if head is None:
        put_checkpoint(database, scope, size=7, time_ms=1_795_000_000_000)
        head = _newest(database, scope)
    assert head is not None
    number, size, time_ms, note = head
    with psycopg.connect(database.app) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        connection.execute(
            "insert into anchor_targets (tenant_id, id, kind, place, options, every_s, created_by)"
            " values (%s, %s, 'tsa', %s, '{\"certificates\": \"\"}', 3600, 'test')",
            [scope.tenant_id, target, place],
        )
        connection.execute(
            "insert into anchors (tenant_id, id, target_id, kind, place, checkpoint,"
            " checkpoint_size, checkpoint_ms, state, imprint, answer, stamped_at, finished_at)"
            " values (%s, %s, %s, 'tsa', %s, %s, %s, %s, 'done', %s, 'stamp', now(), now())",
            [
                *(scope.tenant_id, target, target, place, number, size, time_ms),
                sha256(note.encode()).digest(),
            ],
        )
    return target


def _newest(database: Database, scope: TenantScope) -> tuple[int, int, int, str] | None:
    with psycopg.connect(database.admin) as connection:
        return connection.execute(
            "select number, size, time_ms, note from evidence_checkpoints"
            " where tenant_id = %s order by number desc limit 1",
            [scope.tenant_id],
        ).fetchone()
