"""`betrace tenant export`, and the deletion of tenants: `delete`, `keep`, `purge`, `deleted`."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from api.command.operator import (
    operator,
    operator_scope,
    publisher_of,
    say,
    tenant_named,
    with_pool,
)
from api.database import Pool
from api.errors import OperatorError
from api.exports.service import Exporter
from api.keyring.wiring import open_keys
from api.rules.service import publish_waiting
from api.settings import Settings
from api.tenants.deletion import admins_of, ask_for_deletion, keep_tenant
from api.tenants.deletion_mail import tell_asked, tell_kept
from api.tenants.purge import Proof, list_proofs, purge_due

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
TenantName = Annotated[str, typer.Argument(help="Name or id.")]


def extend(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command("export")(export_command)
    app.command("delete")(delete_command)
    app.command("keep")(keep_command)
    app.command("purge")(purge_command)
    app.command("deleted")(deleted_command)


def export_command(
    name: TenantName,
    to: Annotated[Path | None, typer.Option(help="The file; NAME-DATE.zip without it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write all that a tenant has into one ZIP archive. An existing file is not touched."""

    async def act(pool: Pool, _: Settings) -> dict[str, object]:
        tenant = await tenant_named(pool, name)
        path = to or Path(f"{_file_name(tenant.name)}-{datetime.now(UTC):%Y%m%d-%H%M}.zip")
        size = 0
        try:
            file = path.open("xb")
        except OSError as error:
            raise OperatorError(f"{path}: {error.strerror}; --to names another file") from error
        try:
            with file:
                async for piece in await Exporter(pool).begin(operator_scope(tenant.id)):
                    size += file.write(piece)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return {"id": str(tenant.id), "name": tenant.name, "file": str(path), "bytes": size}

    told = with_pool(act)
    say(told, as_json=as_json, text=f"{told['file']}: {told['bytes']:,} bytes")


def delete_command(
    name: TenantName,
    confirm: Annotated[
        str, typer.Option(help="The tenant's name once more, to say that this one is meant.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Let a tenant be deleted after the grace (BETRACE_DELETION_GRACE_DAYS).

    Until then it takes no spans and judges none; it can be exported, and kept after all.
    """

    async def act(pool: Pool, settings: Settings) -> dict[str, object]:
        tenant = await tenant_named(pool, name)
        scope = operator_scope(tenant.id)
        if not confirm:
            raise OperatorError(f"--confirm {tenant.name!r} says that this tenant is meant")
        deletion = await ask_for_deletion(pool, scope, typed=confirm, grace=settings.deletion_grace)
        await publish_waiting(publisher_of(pool, settings), scope)
        addresses = await admins_of(pool, scope)
        site, by = settings.site, operator()
        await tell_asked(settings.mailer, addresses, deletion, site=site, by=by)
        due_at = deletion.due_at.isoformat() if deletion.due_at else None
        hold = deletion.held_by
        return {"id": str(tenant.id), "name": tenant.name, "due_at": due_at, "hold": hold}

    told = with_pool(act)
    text = f"{told['name']} is deleted after {told['due_at']}; `betrace tenant keep` prevents it"
    if told["hold"]:
        text += f"\nthe {told['hold']} holds it: it stays until that is lifted"
    say(told, as_json=as_json, text=text)


def keep_command(name: TenantName, as_json: AsJson = False) -> None:
    """Keep a tenant whose deletion was asked for, with its rules as they were."""

    async def act(pool: Pool, settings: Settings) -> dict[str, object]:
        tenant = await tenant_named(pool, name)
        scope = operator_scope(tenant.id)
        deletion = await keep_tenant(pool, scope)
        await publish_waiting(publisher_of(pool, settings), scope)
        addresses = await admins_of(pool, scope)
        await tell_kept(settings.mailer, addresses, deletion, by=operator())
        return {"id": str(tenant.id), "name": tenant.name}

    told = with_pool(act)
    say(told, as_json=as_json, text=f"{told['name']} is kept")


def purge_command(as_json: AsJson = False) -> None:
    """Delete all of the tenants whose grace is over, now. The API does it every five minutes."""

    async def act(pool: Pool, settings: Settings) -> list[UUID]:
        keys = open_keys(settings.keys, pool)
        return await purge_due(pool, publisher_of(pool, settings), keys=keys)

    gone = [str(tenant_id) for tenant_id in with_pool(act)]
    text = "\n".join(f"deleted {tenant_id}" for tenant_id in gone) or "nothing is due"
    say({"deleted": gone}, as_json=as_json, text=text)


def deleted_command(
    tenant_id: Annotated[
        UUID | None, typer.Argument(metavar="[ID]", help="Of one tenant; else of all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the proofs that are left of deleted tenants, newest first."""

    async def act(pool: Pool, _: Settings) -> list[Proof]:
        return await list_proofs(pool, tenant_id=tenant_id)

    proofs = with_pool(act)
    if tenant_id is not None and not proofs:
        raise OperatorError(f"there is no proof that {tenant_id} was deleted")
    if as_json:
        typer.echo(json.dumps({"proofs": [_as_dict(proof) for proof in proofs]}, indent=2))
        return
    for proof in proofs:
        typer.echo(
            f"{proof.tenant_id}  {proof.name}  deleted {proof.completed_at:%Y-%m-%d %H:%M} UTC,"
            f" asked for by {proof.asked_by} on {proof.asked_at:%Y-%m-%d}:"
            f" {sum(proof.deleted.values()):,} rows"
        )


def _as_dict(proof: Proof) -> dict[str, Any]:
    return {
        name: str(value)
        if isinstance(value, UUID)
        else value.isoformat()
        if isinstance(value, datetime)
        else value
        for name, value in asdict(proof).items()
    }


def _file_name(name: str) -> str:
    """Return a tenant's name without what means something in paths."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)[:100]
