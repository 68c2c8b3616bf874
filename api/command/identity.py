"""`betrace identity`: what claims of the identity provider's people and programs give them here."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from api.auth.principal import Role
from api.command.operator import operator_scope, say, tenant_named, with_pool
from api.database import Pool
from api.errors import OperatorError
from api.identity.grants import ANYBODY, Grant, Grantee, Kind, drop_grant, list_grants, put_grant
from api.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="What claims of the identity provider give its people and programs here.",
)

TenantName = Annotated[str, typer.Option("--tenant", help="Name or id.")]
Group = Annotated[str, typer.Option(help="Whoever has it in the claim BETRACE_OIDC_ROLE_CLAIM.")]
Anybody = Annotated[bool, typer.Option("--anybody", help="Everybody whom the provider knows.")]
Client = Annotated[str, typer.Option(help="A program, by its client id.")]
Subject = Annotated[
    str, typer.Option(help="A program, by the sub of its tokens, where that is no client id.")
]
Organisation = Annotated[
    str, typer.Option(help="Only with this in the claim BETRACE_OIDC_TENANT_CLAIM.")
]
Issuer = Annotated[str, typer.Option(help="Default: that of the provider in the environment.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("grant")
def grant(
    tenant: TenantName,
    role: Annotated[Role, typer.Option(help="What they are in the tenant.")],
    group: Group = "",
    anybody: Anybody = False,
    client: Client = "",
    subject: Subject = "",
    organisation: Organisation = "",
    issuer: Issuer = "",
    as_json: AsJson = False,
) -> None:
    """Give a role in a tenant to a group, to anybody of the provider, or to a program.

    Again changes the role. People get it at their next sign-in, programs at their next request.
    """
    kind, value = _whom(group, anybody, client, subject)

    async def act(pool: Pool, settings: Settings) -> Grant:
        made = Grant(
            issuer=_issuer(issuer, settings),
            organisation=organisation,
            kind=kind,
            value=value,
            role=role,
        )
        await put_grant(pool, operator_scope((await tenant_named(pool, tenant)).id), made)
        return made

    made = with_pool(act)
    say(asdict(made), as_json=as_json, text=f"{_words(made)} of {made.issuer}: {made.role}")


@app.command("revoke")
def revoke(
    tenant: TenantName,
    group: Group = "",
    anybody: Anybody = False,
    client: Client = "",
    subject: Subject = "",
    organisation: Organisation = "",
    issuer: Issuer = "",
    as_json: AsJson = False,
) -> None:
    """Take a grant back.

    Programs are refused at their next request. People lose what it gave at their next sign-in:
    `betrace user sign-out` makes them sign in again.
    """
    kind, value = _whom(group, anybody, client, subject)

    async def act(pool: Pool, settings: Settings) -> Grantee:
        taken = Grantee(
            issuer=_issuer(issuer, settings), organisation=organisation, kind=kind, value=value
        )
        await drop_grant(pool, operator_scope((await tenant_named(pool, tenant)).id), taken)
        return taken

    taken = with_pool(act)
    say({"revoked": True}, as_json=as_json, text=f"{_words(taken)} of {taken.issuer}: no grant")


@app.command("list")
def list_command(tenant: TenantName, as_json: AsJson = False) -> None:
    """List the grants of a tenant."""

    async def act(pool: Pool, _: Settings) -> list[Grant]:
        return await list_grants(pool, operator_scope((await tenant_named(pool, tenant)).id))

    grants = with_pool(act)
    if as_json:
        listed: list[dict[str, Any]] = [asdict(each) for each in grants]
        typer.echo(json.dumps({"grants": listed}))
        return
    for each in grants:
        typer.echo(f"{each.role:18} {_words(each)} of {each.issuer}")


def _whom(group: str, anybody: bool, client: str, subject: str) -> tuple[Kind, str]:
    named = [
        (Kind.GROUP, group),
        (Kind.GROUP, ANYBODY if anybody else ""),
        (Kind.CLIENT, client),
        (Kind.SUBJECT, subject),
    ]
    chosen = [each for each in named if each[1]]
    if len(chosen) != 1:
        raise typer.BadParameter("say one of --group, --anybody, --client and --subject")
    return chosen[0]


def _issuer(given: str, settings: Settings) -> str:
    issuer = given or settings.issuer
    if not issuer:
        raise OperatorError(
            "neither BETRACE_OIDC_ISSUER nor BETRACE_WORKOS_CLIENT_ID is set: set one, or say "
            "--issuer"
        )
    return issuer


def _words(whose: Grantee) -> str:
    whom = "anybody" if whose.value == ANYBODY else f"{whose.kind} {whose.value}"
    return f"{whom} in {whose.organisation}" if whose.organisation else whom
