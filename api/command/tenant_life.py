"""`betrace tenant onboard`, and what else becomes of whole tenants."""

from __future__ import annotations

from typing import Annotated

import typer

from api.command import tenant_data, tenant_retention, tenant_tier
from api.command.operator import (
    operator_scope,
    publisher_of,
    say,
    switch_tenant,
    with_pool,
)
from api.database import Pool
from api.errors import OperatorError
from api.invitations.delivery import deliver
from api.invitations.model import InvitationMaker, address_of
from api.keys.service import KeyMaker
from api.rules.service import publish_waiting
from api.settings import Settings
from api.tenants.onboarding import Makers, Onboarded, onboard
from api.tenants.service import resume, suspend
from api.tenants.starter import starter_rules
from api.tiers.model import DEFAULT

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def extend(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command("onboard")(onboard_command)
    app.command("suspend")(suspend_command)
    app.command("resume")(resume_command)
    tenant_tier.extend(app)
    tenant_retention.extend(app)
    tenant_data.extend(app)


def onboard_command(
    name: Annotated[str, typer.Argument(help="Of the tenant; unique on this server.")],
    admin: Annotated[str, typer.Option(help="Address of the first admin, who is invited.")],
    starter: Annotated[
        bool, typer.Option("--starter-rules/--no-starter-rules", help="Begin with some rules.")
    ] = True,
    tier: Annotated[str, typer.Option(help="See `betrace tier list`.")] = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make a tenant with its first admin, starter rules and a key for spans, all or nothing.

    The key, and the link where no mail takes it to the admin, are printed once.
    """
    email = _address(admin)

    async def act(pool: Pool, settings: Settings) -> dict[str, object]:
        done = await onboard(
            pool,
            name,
            admin=email,
            grant=operator_scope,
            makers=Makers(
                KeyMaker(settings.pepper, most=settings.max_api_keys),
                InvitationMaker(settings.pepper, settings.invitation_lifetime),
            ),
            tier=tier,
            rules=starter_rules() if starter else (),
        )
        await publish_waiting(publisher_of(pool, settings), operator_scope(done.tenant.id))
        return await _told(pool, settings, done)

    told = with_pool(act)
    say(told, as_json=as_json, text=_text(told))


TenantName = Annotated[str, typer.Argument(help="Name or id.")]


def suspend_command(name: TenantName, as_json: AsJson = False) -> None:
    """Let nobody of a tenant in and take none of its spans, until it is resumed.

    Sessions are refused at once, keys within five seconds. Nothing is deleted.
    """
    switch_tenant(name, suspend, "is suspended", "was suspended already", as_json=as_json)


def resume_command(name: TenantName, as_json: AsJson = False) -> None:
    """Let a suspended tenant go on."""
    switch_tenant(name, resume, "goes on", "was not suspended", as_json=as_json)


async def _told(pool: Pool, settings: Settings, done: Onboarded) -> dict[str, object]:
    told: dict[str, object] = {
        "id": str(done.tenant.id),
        "name": done.tenant.name,
        "rules": list(done.rules),
        "key": done.key.text,
        "invited": done.invited is not None,
        "mailed": False,
        "link": None,
    }
    if done.invited is None:
        return told
    delivered = await deliver(
        pool,
        operator_scope(done.tenant.id),
        done.invited,
        mailer=settings.mailer,
        site=settings.site,
        tenant_name=done.tenant.title,
    )
    return {**told, "mailed": not delivered.link, "link": delivered.link or None}


def _text(told: dict[str, object]) -> str:
    lines = [
        f"tenant {told['name']} has the id {told['id']}",
        f"key for spans, not shown again: {told['key']}",
    ]
    if told["link"]:
        lines.append(f"link for the admin, not shown again: {told['link']}")
    elif told["invited"]:
        lines.append("an invitation is on its way to the admin")
    else:
        lines.append("the admin has an account, and finds the tenant after signing in")
    return "\n".join(lines)


def _address(text: str) -> str:
    try:
        return address_of(text)
    except ValueError as error:
        raise OperatorError(f"--admin: {error}") from error
