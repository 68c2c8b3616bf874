"""`betrace tenant tier`: which tier a tenant has."""

from __future__ import annotations

from typing import Annotated

import typer

from api.command.operator import operator_scope, say, tenant_named, with_pool
from api.database import Pool
from api.settings import Settings
from api.tiers.allowance import Allowance, quota_text, read_allowance
from api.tiers.service import drop_own_quotas, put_into_tier


def extend(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("tier")(tier_command)


def tier_command(
    name: Annotated[str, typer.Argument(help="Name or id of the tenant.")],
    tier: Annotated[str | None, typer.Argument(help="See `betrace tier list`.")] = None,
    as_tier: Annotated[
        bool, typer.Option("--as-tier", help="Take back what was set for this tenant alone.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a tenant may have, or put it into a tier; that holds within five seconds."""

    async def act(pool: Pool, _: Settings) -> Allowance:
        scope = operator_scope((await tenant_named(pool, name)).id)
        if tier is not None:
            await put_into_tier(pool, scope, tier)
        if as_tier:
            await drop_own_quotas(pool, scope)
        return await read_allowance(pool, scope)

    allowance = with_pool(act)
    lines = [f"tier {allowance.tier}"]
    lines += [
        f"{each.name:<26}{quota_text(each.name, each.most):>16}"
        f"{'' if each.used is None else f'  {each.used:,} used'}{'  (its own)' if each.own else ''}"
        for each in allowance.quotas
    ]
    say(as_dict(allowance), as_json=as_json, text="\n".join(lines))


def as_dict(allowance: Allowance) -> dict[str, object]:
    """Return what a tenant may have as JSON values."""
    return {
        "tier": allowance.tier,
        "quotas": {
            each.name: {"most": each.most, "used": each.used, "own": each.own}
            for each in allowance.quotas
        },
    }
