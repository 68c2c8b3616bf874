"""`betrace tenant retention`, `bounds`, `hold`, `release`: how long things of a tenant are kept."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from api.command.operator import operator_scope, say, switch_tenant, tenant_named, with_pool
from api.command.retention_options import Days, Least, Most, changed_term
from api.database import Pool
from api.errors import OperatorError
from api.retention.schemas import RetentionBody
from api.retention.service import Retention, bound_retention, hold, read_retention, release
from api.retention.terms import Kind, days_text
from api.settings import Settings

TenantName = Annotated[str, typer.Argument(help="Name or id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def extend(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command("retention")(retention_command)
    app.command("bounds")(bounds_command)
    app.command("hold")(hold_command)
    app.command("release")(release_command)


def retention_command(name: TenantName, as_json: AsJson = False) -> None:
    """Show how long things of a tenant are kept, and what was deleted in the last 30 days."""

    async def act(pool: Pool, _: Settings) -> Retention:
        tenant = await tenant_named(pool, name)
        return await read_retention(pool, operator_scope(tenant.id))

    _tell(with_pool(act), as_json=as_json)


def bounds_command(
    name: TenantName,
    kind: Kind,
    days: Days = None,
    least: Least = None,
    most: Most = None,
    as_tier: Annotated[bool, typer.Option("--as-tier", help="As the tier of the tenant.")] = False,
    as_json: AsJson = False,
) -> None:
    """Set for how long a tenant may keep things of a kind, in place of its tier.

    What is not given stays. Its people choose within these bounds.
    """
    if as_tier == any(each is not None for each in (days, least, most)):
        raise OperatorError("say either --as-tier, or what of --days, --least and --most changes")

    async def act(pool: Pool, _: Settings) -> Retention:
        scope = operator_scope((await tenant_named(pool, name)).id)
        now = (await read_retention(pool, scope)).times[kind].term
        term = None if as_tier else changed_term(now, kind, days=days, least=least, most=most)
        return await bound_retention(pool, scope, {kind: term})

    _tell(with_pool(act), as_json=as_json)


def hold_command(name: TenantName, as_json: AsJson = False) -> None:
    """Let nothing of a tenant be deleted, however old it is; only an operator lifts that."""
    switch_tenant(
        name, partial(hold, by="operator"), "is held", "was held already", as_json=as_json
    )


def release_command(name: TenantName, as_json: AsJson = False) -> None:
    """Lift the hold of a tenant: what is over is deleted again."""
    switch_tenant(
        name, partial(release, by="operator"), "is not held", "was not held", as_json=as_json
    )


def _tell(retention: Retention, *, as_json: bool) -> None:
    lines = [
        f"{each.kind:<14}{days_text(each.days):>12}  "
        f"({'chosen' if each.chosen else 'as usual'}; allowed: {each.term.bounds_text})"
        for each in retention.times.values()
    ]
    if retention.hold:
        lines.append(f"held by the {retention.hold.by} since {retention.hold.since:%Y-%m-%d}")
    if retention.delete_after:
        lines.append(
            f"all of it is deleted after {retention.delete_after:%Y-%m-%d}; nothing goes before"
        )
    lines += [f"deleted: {each.row_count:,} {each.what}" for each in retention.deleted]
    say(RetentionBody.of(retention).model_dump(mode="json"), as_json=as_json, text="\n".join(lines))
