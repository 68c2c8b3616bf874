"""The archive of a tenant: whole, of one moment, without secrets, and of this tenant alone."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from fastapi import FastAPI
from psycopg.types.json import Jsonb
from typer.testing import CliRunner

from api.auth.principal import Role, TenantScope
from api.command.app import app as betrace
from api.database import Pool
from api.exports.kinds import KINDS, LEFT_OUT
from api.exports.service import Exporter, archive_of
from api.problems import ApiError
from tests.integration.api.conftest import NO_KAFKA, Caller, client_of
from tests.support.filled import Filled
from tests.support.postgres import Database
from tests.support.tenants import PEPPER, add_key, make_tenant, make_user
from tests.support.whole_tenant import RULE, rows_of, whole_tenant

SECRETIVE: Final = r"hash|secret|token|sealed|password|csrf"
NO_SECRETS: Final = {"group_fingerprint", "sealed_ms", "text_hash", "token"}
"""text_hash: of a note, beside its text; token: stands in spans in place of a value."""


async def taken(pool: Pool, scope: TenantScope) -> zipfile.ZipFile:
    """Export a tenant."""
    pieces = [piece async for piece in archive_of(pool, scope)]
    return zipfile.ZipFile(io.BytesIO(b"".join(pieces)))


def manifest_of(archive: zipfile.ZipFile) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(archive.read("manifest.json"))
    return told


def rows_in(archive: zipfile.ZipFile, kind: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in archive.read(f"{kind}.jsonl").splitlines()]


def everything(archive: zipfile.ZipFile) -> str:
    return "\n".join(archive.read(name).decode() for name in archive.namelist())


def _columns(database: Database) -> dict[str, set[str]]:
    with psycopg.connect(database.admin) as connection:
        found = connection.execute(
            "select table_name, column_name from information_schema.columns"
            " join information_schema.tables using (table_schema, table_name)"
            " where table_schema = 'public' and table_type = 'BASE TABLE'"
        )
        columns: dict[str, set[str]] = {}
        for table, column in found:
            columns.setdefault(table, set()).add(column)
    return columns


def test_every_table_of_tenants_is_exported_or_left_out_for_a_reason(database: Database) -> None:
    of_tenants = {table for table, names in _columns(database).items() if "tenant_id" in names}
    exported = [kind.table for kind in KINDS]
    assert len(set(exported)) == len(exported)
    assert {*exported, *LEFT_OUT} == {*of_tenants, "tenants"}
    assert not set(exported) & LEFT_OUT.keys()
    assert all(LEFT_OUT.values())


def test_no_column_that_may_hold_a_secret_is_exported(database: Database) -> None:

    columns = _columns(database)
    for kind in KINDS:
        assert set(kind.withheld) <= columns[kind.table], kind.table
        told = columns[kind.table] - set(kind.withheld) - NO_SECRETS
        assert not {name for name in told if re.search(SECRETIVE, name)}, kind.table


async def test_the_manifest_says_what_the_files_hold(pool: Pool, shared_database: Database) -> None:
    filled = await whole_tenant(pool, shared_database, signals=3)
    counts = rows_of(shared_database, filled.scope)
    archive = await taken(pool, filled.scope)
    assert archive.testzip() is None
    told = manifest_of(archive)
    assert (told["format"], told["tenant_id"]) == (
        "betrace.tenant-export/1", str(filled.scope.tenant_id),
    )  # fmt: skip
    assert {entry["name"]: entry["rows"] for entry in told["files"]} == {
        f"{kind.name}.jsonl": 1 if kind.table == "tenants" else counts[kind.table] for kind in KINDS
    }
    for entry in told["files"]:
        content = archive.read(entry["name"])
        assert (len(content), content.count(b"\n")) == (entry["bytes"], entry["rows"])
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert archive.namelist()[-1] == "manifest.json"


async def test_it_holds_what_people_want_to_take_along(
    pool: Pool, shared_database: Database
) -> None:
    filled = await whole_tenant(pool, shared_database)
    email = await make_user(pool, filled.scope, Role.SRE)
    archive = await taken(pool, filled.scope)
    assert email in {row["email"] for row in rows_in(archive, "members")}
    texts = {row["rule_id"]: row["text"] for row in rows_in(archive, "rule-versions")}
    assert texts[RULE] == "when { a } never { b }"
    assert rows_in(archive, "signals")[0]["explanation"] == {"text": filled.mark}
    assert {row["name"] for row in rows_in(archive, "spans")} == {filled.mark, "child"}
    assert rows_in(archive, "audit")[0]["action"] == "tenant.created"


async def test_neither_anothers_rows_nor_secrets_are_in_it(
    pool: Pool, shared_database: Database
) -> None:
    ours = await whole_tenant(pool, shared_database)
    theirs = await whole_tenant(pool, shared_database)
    key = await add_key(pool, ours.scope, role=Role.ADMIN)
    text = everything(await taken(pool, ours.scope))
    assert ours.mark in text
    foreign = {theirs.mark, str(theirs.scope.tenant_id), *_ids(theirs)}
    assert {part for part in foreign if part in text} == set()
    with psycopg.connect(shared_database.admin) as connection:
        hashes = [
            row[0].hex()
            for row in connection.execute(
                "select key_hash from api_keys where tenant_id = %(tenant)s union all"
                " select token_hash from invitations where tenant_id = %(tenant)s"
                " union all select token_hash from sessions where tenant_id = %(tenant)s",
                {"tenant": ours.scope.tenant_id},
            )
        ]
    assert len(hashes) >= 3
    assert [secret for secret in [key.text, *hashes] if secret in text] == []


def _ids(filled: Filled) -> set[str]:
    names = ("signal_id", "trace_id", "notice_id", "backtest_id", "key_id", "member_id")
    return {filled.ids[name] for name in names}


async def test_all_of_it_is_of_one_moment(pool: Pool, scope: TenantScope) -> None:
    pieces = archive_of(pool, scope)
    archive = [await anext(pieces)]
    await add_key(pool, scope, name="too-late", role=Role.VIEWER)
    archive += [piece async for piece in pieces]
    text = everything(zipfile.ZipFile(io.BytesIO(b"".join(archive))))
    assert "too-late" not in text


async def test_a_large_tenant_goes_through_a_small_memory(
    pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    """Some twenty megabytes of rows never lie in one piece."""
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "insert into stats_minutes (tenant_id, minute, lane, revision, counts)"
            " select %s, now() + make_interval(mins => n), 0, 1, %s"
            " from generate_series(1, 20000) n",
            [scope.tenant_id, Jsonb({"received": 1, "noise": "x" * 1_000})],
        )
    largest, pieces = 0, []
    async for piece in archive_of(pool, scope):
        largest = max(largest, len(piece))
        pieces.append(piece)
    archive = zipfile.ZipFile(io.BytesIO(b"".join(pieces)))
    assert len(rows_in(archive, "accounts")) == 20_000
    assert len(archive.read("accounts.jsonl")) > 20_000_000
    assert largest < 1_000_000


async def test_by_rest_it_is_a_file_and_on_the_record(caller: Caller) -> None:
    answer = await caller.client.get("/api/v1/tenant/export")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"].startswith('attachment; filename="betrace-export-')
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert manifest_of(archive)["tenant_id"] == str(caller.scope.tenant_id)
    log = (await caller.client.get("/api/v1/audit?action=tenant.exported")).json()["items"]
    assert len(log) == 1
    assert [row["action"] for row in rows_in(archive, "audit")][-1] == "tenant.exported"


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.SRE, Role.COMPLIANCE_VIEWER])
async def test_who_is_no_admin_does_not_export(
    app: FastAPI, pool: Pool, scope: TenantScope, role: Role
) -> None:
    key = await add_key(pool, scope, role=role)
    async with client_of(app, key=key.text) as client:
        assert (await client.get("/api/v1/tenant/export")).status_code == 403


async def test_no_more_than_some_at_once(pool: Pool, scope: TenantScope) -> None:
    exporter, other = Exporter(pool, at_once=1), await make_tenant(pool)
    first = await exporter.begin(scope)
    await anext(first)
    with pytest.raises(ApiError, match="under way") as refused:
        await exporter.begin(other)
    assert refused.value.headers == {"Retry-After": "60"}
    assert [piece async for piece in first]
    assert [piece async for piece in await exporter.begin(other)]


def test_the_command_writes_a_file_and_touches_none_that_is_there(
    monkeypatch: pytest.MonkeyPatch, shared_database: Database, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", shared_database.app)
    monkeypatch.setenv("BETRACE_SECRET_KEY", PEPPER.decode())
    monkeypatch.setenv("BETRACE_KAFKA", NO_KAFKA)
    runner, path = CliRunner(), tmp_path / "out.zip"
    made = runner.invoke(betrace, ["tenant", "create", "exported-by-command", "--json"])
    arguments = ["tenant", "export", "exported-by-command", "--to", str(path), "--json"]
    told = json.loads(runner.invoke(betrace, arguments, catch_exceptions=False).stdout)
    assert told["bytes"] == path.stat().st_size
    assert manifest_of(zipfile.ZipFile(path))["tenant_id"] == json.loads(made.stdout)["id"]
    again = runner.invoke(betrace, arguments)
    assert "exists" in str(again.exception)
    assert told["bytes"] == path.stat().st_size
