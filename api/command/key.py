"""`betrace key`: API keys."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import typer

from api.auth.addresses import parse_networks
from api.auth.key_verifier import REMEMBERED_S
from api.auth.keys import KeyKind, is_well_formed
from api.auth.principal import Permission, Role
from api.command.operator import operator_scope, say, tenant_named, with_pool
from api.database import Pool
from api.durations import duration_ms
from api.errors import OperatorError
from api.keys.authority import OPERATOR
from api.keys.model import Key, KeyDraft
from api.keys.schemas import KeyBody
from api.keys.service import (
    KeyMaker,
    create_key,
    find_in_use,
    list_keys,
    revoke_key,
    rotate_key,
)
from api.settings import Settings

app = typer.Typer(no_args_is_help=True, help="API keys.")

TenantName = Annotated[str, typer.Option("--tenant", help="Name or id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
KeyId = Annotated[UUID, typer.Argument(metavar="ID")]


@app.command("create")
def create(
    tenant: TenantName,
    name: Annotated[str, typer.Option(help="What it is for; unique among the keys in use.")],
    role: Annotated[
        Role | None,
        typer.Option(help="api-client (the default) sends spans; developer and admin may do more."),
    ] = None,
    scope: Annotated[
        list[Permission] | None,
        typer.Option(help="In place of a role: something the key may do; may be repeated."),
    ] = None,
    expires: Annotated[
        str, typer.Option(help="For how long it is good, as 90d or 12h; without: until revoked.")
    ] = "",
    allow: Annotated[
        list[str] | None,
        typer.Option(help="An address or network it may be used from; may be repeated."),
    ] = None,
    test: Annotated[
        bool, typer.Option(help="A test key, for servers with BETRACE_ACCEPT_TEST_KEYS.")
    ] = False,
    from_stdin: Annotated[bool, typer.Option(help="Store the key on standard input.")] = False,
    if_absent: Annotated[bool, typer.Option(help="A key with this name is fine.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it: this is the only time it can be seen."""
    given = _key_on_stdin() if from_stdin else None
    draft = _draft(name, role=role, scopes=scope, expires=expires, allow=allow or (), test=test)

    async def act(pool: Pool, settings: Settings) -> dict[str, Any]:
        owner = operator_scope((await tenant_named(pool, tenant)).id)
        if if_absent and (known := await find_in_use(pool, owner, name)):
            return {**_as_dict(known), "created": False, "key": None}
        maker = _maker(settings)
        made = await create_key(pool, owner, draft, maker=maker, authority=OPERATOR, text=given)
        return {**_as_dict(made.key), "created": True, "key": made.text}

    result = with_pool(act)
    text = result["key"] or f"there is a key {name!r} already; it cannot be shown again"
    say(result, as_json=as_json, text=text)


@app.command("list")
def list_command(
    tenant: TenantName,
    ended: Annotated[
        bool, typer.Option("--ended", help="Also keys that have expired or were revoked.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the keys of a tenant, newest first."""

    async def act(pool: Pool, _: Settings) -> tuple[Key, ...]:
        owner = operator_scope((await tenant_named(pool, tenant)).id)
        return (await list_keys(pool, owner, ended=ended)).items

    keys = with_pool(act)
    if as_json:
        typer.echo(json.dumps({"keys": [_as_dict(key) for key in keys]}))
        return
    for key in keys:
        typer.echo(_line(key))


@app.command("rotate")
def rotate(
    tenant: TenantName,
    key_id: KeyId,
    overlap: Annotated[
        str, typer.Option(help="For how long the old key goes on, as 24h or 10m.")
    ] = "24h",
    as_json: AsJson = False,
) -> None:
    """Replace a key and print the new one; the old one goes on for a while and ends by itself."""
    lasting = _duration(overlap, "--overlap")

    async def act(pool: Pool, settings: Settings) -> dict[str, Any]:
        owner = operator_scope((await tenant_named(pool, tenant)).id)
        made = await rotate_key(
            pool, owner, key_id, maker=_maker(settings), authority=OPERATOR, overlap=lasting
        )
        return {**_as_dict(made.key), "key": made.text}

    result = with_pool(act)
    say(result, as_json=as_json, text=result["key"])


@app.command("revoke")
def revoke(tenant: TenantName, key_id: KeyId) -> None:
    """Refuse a key from now on."""

    async def act(pool: Pool, _: Settings) -> Key:
        return await revoke_key(pool, operator_scope((await tenant_named(pool, tenant)).id), key_id)

    key = with_pool(act)
    typer.echo(f"{key.state}; every process that reaches Postgres refuses it in {REMEMBERED_S:g} s")


def _draft(
    name: str,
    *,
    role: Role | None,
    scopes: Sequence[Permission] | None,
    expires: str,
    allow: Sequence[str],
    test: bool,
) -> KeyDraft:
    """Return the key to be made. Raises OperatorError for what no key can be."""
    lasting = _duration(expires, "--expires") if expires else None
    try:
        return KeyDraft(
            name=name,
            role=role if role or scopes else Role.API_CLIENT,
            scopes=frozenset(scopes) if scopes else None,
            kind=KeyKind.TEST if test else KeyKind.LIVE,
            networks=parse_networks(allow),
            expires_at=None if lasting is None else datetime.now(UTC) + lasting,
        )
    except (ValueError, OverflowError) as error:
        raise OperatorError(str(error)) from error


def _maker(settings: Settings) -> KeyMaker:
    return KeyMaker(settings.pepper, most=settings.max_api_keys)


def _duration(text: str, option: str) -> timedelta:
    try:
        return timedelta(milliseconds=duration_ms(text))
    except (ValueError, OverflowError) as error:
        raise OperatorError(f"{option}: {error}") from error


def _line(key: Key) -> str:
    may = key.role.value if key.role else ",".join(sorted(key.permissions))
    used = f"used {key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never used"
    ends = f", ends {key.expires_at:%Y-%m-%d %H:%M}" if key.in_use and key.expires_at else ""
    return f"{key.id}  {key.shown}…  {key.state.value:8} {key.name}: {may}; {used}{ends}"


def _as_dict(key: Key) -> dict[str, Any]:
    return KeyBody.of(key).model_dump(mode="json")


def _key_on_stdin() -> str:
    key = sys.stdin.readline().strip()
    if not is_well_formed(key):
        raise OperatorError("standard input holds no API key (betrace_live_…, with checksum)")
    return key
