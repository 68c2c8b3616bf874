"""`betrace keyring`: the keys by which BeTrace signs, seals and redacts for a tenant."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from api.command.operator import operator, say, tenant_named, with_pool
from api.database import Pool
from api.errors import OperatorError
from api.keyring.wiring import Keys, open_keys
from api.settings import Settings
from udfs.keysource.keys import KeyRecord, Purpose
from udfs.keysource.trouble import KeyTrouble

_T = TypeVar("_T")
app = typer.Typer(
    no_args_is_help=True, help="Keys that sign, seal and redact. API keys are `betrace key`."
)
TenantName = Annotated[str, typer.Option("--tenant", help="Name or id.")]
KeyId = Annotated[UUID, typer.Argument(metavar="ID")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("list")
def list_command(tenant: TenantName, as_json: AsJson = False) -> None:
    """List all keys of a tenant by purpose and generation, those of before as well."""

    async def act(keys: Keys, tenant_id: UUID) -> list[KeyRecord]:
        return list(await keys.care.all_of(tenant_id))

    records = _with_keys(tenant, act)
    if as_json:
        typer.echo(json.dumps({"keys": [_as_dict(record) for record in records]}))
        return
    for record in records:
        typer.echo(_line(record))


@app.command("rotate")
def rotate(
    tenant: TenantName,
    purpose: Annotated[Purpose, typer.Argument(help="Which of the tenant's keys.")],
    as_json: AsJson = False,
) -> None:
    """Let a new key follow; the old one still verifies and reads."""

    async def act(keys: Keys, tenant_id: UUID) -> KeyRecord:
        return await keys.care.rotate(tenant_id, purpose, by=operator())

    made = _with_keys(tenant, act)
    text = f"{made.id} is the {purpose.value} key of generation {made.generation}"
    say(_as_dict(made), as_json=as_json, text=text)


@app.command("revoke")
def revoke(
    tenant: TenantName,
    key_id: KeyId,
    reason: Annotated[str, typer.Option(help="Kept with the key; up to 1,000 characters.")],
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"],
            help="UTC: the earliest moment at which somebody else may have had it; without: now.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Trust a key no more: what it signed since then counts for nothing. Is not taken back."""

    async def act(keys: Keys, tenant_id: UUID) -> KeyRecord:
        return await keys.care.revoke(
            tenant_id,
            key_id,
            reason=reason,
            by=operator(),
            untrusted_from=since and since.replace(tzinfo=UTC),
        )

    if not 1 <= len(reason) <= 1_000:
        raise OperatorError("--reason has 1 to 1,000 characters")
    say(_as_dict(_with_keys(tenant, act)), as_json=as_json, text=f"{key_id} is revoked")


@app.command("destroy")
def destroy(tenant: TenantName, key_id: KeyId, as_json: AsJson = False) -> None:
    """Destroy the private part of a key that is not in use: what it sealed is lost for ever."""

    async def act(keys: Keys, tenant_id: UUID) -> KeyRecord:
        return await keys.care.destroy(tenant_id, key_id, by=operator())

    say(_as_dict(_with_keys(tenant, act)), as_json=as_json, text=f"{key_id} is destroyed")


@app.command("rewrap")
def rewrap(tenant: TenantName, as_json: AsJson = False) -> None:
    """Wrap all keys of a tenant by the newest master key, of the provider in the settings."""

    async def act(keys: Keys, tenant_id: UUID) -> int:
        return await keys.care.rewrap(tenant_id)

    changed = _with_keys(tenant, act)
    say({"rewrapped": changed}, as_json=as_json, text=f"{changed} keys are otherwise wrapped now")


@app.command("check")
def check() -> None:
    """Ask the provider whether it would do what it is needed for."""

    async def act(pool: Pool, settings: Settings) -> str:
        source = _keys(pool, settings).source
        await _told(asyncio.to_thread(source.check))
        return source.provider

    typer.echo(f"{with_pool(act)} answers")


def _with_keys(tenant: str, act: Callable[[Keys, UUID], Awaitable[_T]]) -> _T:
    """Do something with the keys of a tenant; trouble becomes one line and exit 2."""

    async def run(pool: Pool, settings: Settings) -> _T:
        keys = _keys(pool, settings)
        return await _told(act(keys, (await tenant_named(pool, tenant)).id))

    return with_pool(run)


def _keys(pool: Pool, settings: Settings) -> Keys:
    keys = open_keys(settings.keys, pool)
    if keys is None:
        raise OperatorError("BETRACE_KEYS_PROVIDER is not set: there are no keys (deploy/keys.md)")
    return keys


async def _told(work: Awaitable[_T]) -> _T:
    try:
        return await work
    except KeyTrouble as trouble:
        raise OperatorError(str(trouble)) from trouble


def _line(record: KeyRecord) -> str:
    wrapped = f"{record.sealed.provider} {record.sealed.master}" if record.sealed else "nowhere"
    return (
        f"{record.id}  {record.purpose.value:9} {record.generation:3}  {record.state.value:9}"
        f"  made {record.created_at:%Y-%m-%d %H:%M}  {wrapped.strip()}"
    )


def _as_dict(record: KeyRecord) -> dict[str, Any]:
    revoked = record.revocation
    return {
        "id": str(record.id),
        "purpose": record.purpose.value,
        "generation": record.generation,
        "state": record.state.value,
        "provider": record.sealed.provider if record.sealed else None,
        "master": record.sealed.master if record.sealed else None,
        "public_key": record.public_key.hex() if record.public_key else None,
        "created_at": record.created_at.isoformat(),
        "created_by": record.created_by,
        "retired_at": record.retired_at.isoformat() if record.retired_at else None,
        "revoked_at": revoked.at.isoformat() if revoked else None,
        "revoked_by": revoked.by if revoked else None,
        "revoked_reason": revoked.reason if revoked else None,
        "untrusted_from": revoked.untrusted_from.isoformat() if revoked else None,
        "destroyed_at": record.destroyed_at.isoformat() if record.destroyed_at else None,
    }
