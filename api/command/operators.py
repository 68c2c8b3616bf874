"""`betrace operator`: keys of those who operate the installation by REST and pages."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from api.auth.addresses import Networks, parse_networks
from api.command.operator import operator, say, with_pool
from api.database import Pool
from api.durations import duration_ms
from api.operators.making import (
    OperatorKey,
    create_operator_key,
    list_operator_keys,
    revoke_operator_key,
)
from api.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Keys of those who operate the installation.")
Name = Annotated[str, typer.Argument(help="Whose it is; records name operators by it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("create")
def create(
    name: Name,
    expires: Annotated[str, typer.Option(help="For how long it is good.")] = "90d",
    allow: Annotated[
        list[str] | None,
        typer.Option(help="An address or network it may be used from; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key for one person and print it: this is the only time it can be seen.

    It opens /operator and /api/v1/operator, and nothing of any tenant.
    """
    lifetime = timedelta(milliseconds=_milliseconds(expires))
    networks = _networks(allow or [])

    async def act(pool: Pool, settings: Settings) -> str:
        return await create_operator_key(
            pool,
            name,
            lifetime=lifetime,
            networks=networks,
            pepper=settings.pepper,
            actor=operator(),
        )

    key = with_pool(act)
    say({"name": name, "key": key}, as_json=as_json, text=key)


@app.command("list")
def list_command(as_json: AsJson = False) -> None:
    """List all keys, those that are over as well."""

    async def act(pool: Pool, _: Settings) -> list[OperatorKey]:
        return await list_operator_keys(pool)

    keys = with_pool(act)
    if as_json:
        typer.echo(json.dumps({"operators": [_as_dict(key) for key in keys]}))
        return
    for key in keys:
        told = _as_dict(key)
        typer.echo(f"{key.name:<24}{told['state']:<9}until {told['expires_at']}")


@app.command("revoke")
def revoke(name: Name, as_json: AsJson = False) -> None:
    """Revoke a key; it and the browsers signed in with it are refused at their next request."""

    async def act(pool: Pool, _: Settings) -> None:
        await revoke_operator_key(pool, name, actor=operator())

    with_pool(act)
    say({"name": name, "revoked": True}, as_json=as_json, text=f"{name} is revoked")


def _as_dict(key: OperatorKey) -> dict[str, object]:
    state = "revoked" if key.revoked_at else "good" if key.is_good(datetime.now(UTC)) else "expired"
    return {
        "name": key.name,
        "state": state,
        "networks": [str(network) for network in key.networks],
        "created_by": key.created_by,
        "expires_at": key.expires_at.isoformat(),
        "last_used_at": key.last_used_at.isoformat() if key.last_used_at else None,
    }


def _milliseconds(text: str) -> int:
    try:
        return duration_ms(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _networks(texts: list[str]) -> Networks:
    try:
        return parse_networks(texts)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
