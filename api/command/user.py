"""`betrace user`: people who sign in with a password."""

from __future__ import annotations

import json
import secrets
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from api.auth.accounts import end_sessions, issue_reset, remove_factor
from api.auth.principal import Role
from api.command.operator import operator, operator_scope, say, tenant_named, with_pool
from api.database import Pool
from api.members.model import Member
from api.members.service import list_members
from api.problems import ApiError
from api.settings import Settings
from api.tenants.service import add_member, create_user

app = typer.Typer(no_args_is_help=True, help="People who sign in with a password.")

TenantName = Annotated[str, typer.Option("--tenant", help="Name or id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("create")
def create(
    email: str,
    tenant: TenantName,
    name: Annotated[str, typer.Option(help="Default: the address.")] = "",
    role: Annotated[Role, typer.Option()] = Role.VIEWER,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=3_650, help="How long they belong to it; an auditor needs this."),
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option(help="Take the password from standard input, else make one.")
    ] = False,
    if_absent: Annotated[
        bool, typer.Option(help="A known person is fine; they get the role in the tenant.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a person with a role in a tenant, and print a made-up password once."""
    if role is Role.API_CLIENT:
        raise typer.BadParameter("api-client is a role of keys", param_hint="--role")
    if role is Role.AUDITOR and days is None:
        raise typer.BadParameter("an auditor is one for a time: say --days", param_hint="--days")
    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    given = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    password = given or secrets.token_urlsafe(15)

    async def act(pool: Pool, _: Settings) -> dict[str, Any]:
        scope = operator_scope((await tenant_named(pool, tenant)).id)
        result = {"email": email.strip().lower(), "role": role.value}
        try:
            user_id = await create_user(
                pool,
                scope,
                email=email,
                name=name or email,
                role=role,
                password=password,
                expires_at=expires_at,
            )
        except ApiError as refusal:
            if not if_absent or refusal.code != "user.exists":
                raise
            user_id = await add_member(pool, scope, email=email, role=role, expires_at=expires_at)
            return {**result, "id": str(user_id), "created": False, "password": None}
        return {
            **result,
            "id": str(user_id),
            "created": True,
            "password": None if given else password,
        }

    result = with_pool(act)
    text = f"{result['email']} is {result['role']}"
    if result["password"]:
        text += f", password {result['password']}"
    say(result, as_json=as_json, text=text)


@app.command("reset-link")
def reset_link(email: str, as_json: AsJson = False) -> None:
    """Print a link with which a person sets a new password: once, within the hour.

    It ends all their sessions when it is used. Links printed before stop working.
    """

    async def act(pool: Pool, settings: Settings) -> dict[str, Any]:
        token = await issue_reset(pool, email, pepper=settings.pepper, actor=operator())
        link = f"{settings.site}/reset-password?token={token}"
        return {"email": email.strip().lower(), "link": link}

    result = with_pool(act)
    say(result, as_json=as_json, text=result["link"])


@app.command("remove-second-factor")
def remove_second_factor(email: str, as_json: AsJson = False) -> None:
    """Let a person whose app and recovery codes are lost sign in with the password alone."""

    async def act(pool: Pool, _: Settings) -> dict[str, Any]:
        return {
            "email": email.strip().lower(),
            "removed": await remove_factor(pool, email, actor=operator()),
        }

    result = with_pool(act)
    outcome = "has no second factor any more" if result["removed"] else "had no second factor"
    say(result, as_json=as_json, text=f"{result['email']} {outcome}")


@app.command("sign-out")
def sign_out(email: str, as_json: AsJson = False) -> None:
    """End all sessions of a person. Their next request is refused."""

    async def act(pool: Pool, _: Settings) -> dict[str, Any]:
        return {
            "email": email.strip().lower(),
            "ended": await end_sessions(pool, email, actor=operator()),
        }

    result = with_pool(act)
    say(result, as_json=as_json, text=f"{result['ended']} sessions of {result['email']} ended")


@app.command("list")
def list_command(tenant: TenantName, as_json: AsJson = False) -> None:
    """List the people of a tenant."""

    async def act(pool: Pool, _: Settings) -> list[Member]:
        scope = operator_scope((await tenant_named(pool, tenant)).id)
        page = await list_members(pool, scope)
        found = [*page.items]
        while page.next_cursor:
            page = await list_members(pool, scope, cursor=page.next_cursor)
            found += page.items
        return found

    members = with_pool(act)
    if as_json:
        typer.echo(json.dumps({"users": [_as_dict(member) for member in members]}))
        return
    for member in members:
        typer.echo(f"{member.terms.role.value:18} {member.email}")


def _as_dict(member: Member) -> dict[str, str]:
    return {
        "id": str(member.id),
        "email": member.email,
        "name": member.name,
        "role": member.terms.role.value,
    }
