"""`betrace key`: API keys."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any
from uuid import UUID

import typer

from api.auth.keys import is_well_formed
from api.auth.principal import Role
from api.command.operator import operator_scope, say, tenant_named, with_pool
from api.database import Pool
from api.errors import OperatorError
from api.settings import Settings
from api.tenants.service import create_key, list_keys, revoke_key

app = typer.Typer(no_args_is_help=True, help="API keys.")

TenantName = Annotated[str, typer.Option("--tenant", help="Name or id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("create")
def create(
    tenant: TenantName,
    name: Annotated[str, typer.Option(help="What it is for; unique among the keys in use.")],
    role: Annotated[
        Role, typer.Option(help="api-client sends spans; developer and admin may do more.")
    ] = Role.API_CLIENT,
    from_stdin: Annotated[bool, typer.Option(help="Store the key on standard input.")] = False,
    if_absent: Annotated[bool, typer.Option(help="A key with this name is fine.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it: this is the only time it can be seen."""
    if role is Role.AUDITOR:
        raise typer.BadParameter("auditor is a role of people", param_hint="--role")
    given = _key_on_stdin() if from_stdin else None

    async def act(pool: Pool, settings: Settings) -> dict[str, Any]:
        scope = operator_scope((await tenant_named(pool, tenant)).id)
        if if_absent:
            for known in await list_keys(pool, scope):
                if known["name"] == name and known["revoked_at"] is None:
                    return {**_as_dict(known), "created": False, "key": None}
        made = await create_key(pool, scope, name, role=role, pepper=settings.pepper, key=given)
        return {
            "id": str(made.id),
            "name": made.name,
            "role": made.role.value,
            "created": True,
            "key": made.key,
        }

    result = with_pool(act)
    text = result["key"] or f"there is a key {name!r} already; it cannot be shown again"
    say(result, as_json=as_json, text=text)


@app.command("list")
def list_command(tenant: TenantName, as_json: AsJson = False) -> None:
    """List the keys of a tenant, by the time they were made."""

    async def act(pool: Pool, _: Settings) -> list[dict[str, Any]]:
        return await list_keys(pool, operator_scope((await tenant_named(pool, tenant)).id))

    keys = with_pool(act)
    if as_json:
        typer.echo(json.dumps({"keys": [_as_dict(key) for key in keys]}))
        return
    for key in keys:
        state = "revoked" if key["revoked_at"] else key["role"]
        typer.echo(f"{key['id']}  {key['shown']}…  {state:12} {key['name']}")


@app.command("revoke")
def revoke(tenant: TenantName, key_id: Annotated[UUID, typer.Argument(metavar="ID")]) -> None:
    """Refuse a key from now on."""

    async def act(pool: Pool, _: Settings) -> None:
        await revoke_key(pool, operator_scope((await tenant_named(pool, tenant)).id), key_id)

    with_pool(act)
    typer.echo("revoked; every process refuses it within 10 s")


def _as_dict(key: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(key["id"]),
        "name": key["name"],
        "role": key["role"],
        "shown": key["shown"],
        "created_at": key["created_at"].isoformat(),
        "revoked_at": key["revoked_at"].isoformat() if key["revoked_at"] else None,
    }


def _key_on_stdin() -> str:
    key = sys.stdin.readline().strip()
    if not is_well_formed(key):
        raise OperatorError("standard input holds no API key (betrace_live_…, with checksum)")
    return key
