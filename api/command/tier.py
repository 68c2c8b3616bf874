"""`betrace tier`: what tenants of a tier may have, and for how long they may keep it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from api.command.operator import operator, with_pool
from api.command.retention_options import Days, Least, Most, changed_term
from api.database import Pool
from api.errors import OperatorError
from api.retention.terms import Kind, days_text
from api.settings import Settings
from api.tenants.settings import QUOTAS
from api.tiers.allowance import QUOTA_LABELS
from api.tiers.model import Tier
from api.tiers.service import change_quotas, change_term, list_tiers, read_tier

app = typer.Typer(no_args_is_help=True, help="Tiers: what their tenants may have.")
TierName = Annotated[str, typer.Argument(help="Such as free or team.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_NONE = "none"


@app.command("list")
def list_command(as_json: AsJson = False) -> None:
    """List every tier with what it grants; a quota that is not named is the installation's."""

    async def act(pool: Pool, _: Settings) -> list[Tier]:
        return await list_tiers(pool)

    tiers = with_pool(act)
    if as_json:
        typer.echo(json.dumps({"tiers": [as_dict(tier) for tier in tiers]}))
        return
    typer.echo("\n\n".join(_text(tier) for tier in tiers))


@app.command("quota")
def quota_command(
    name: TierName,
    quota: Annotated[str, typer.Argument(help=f"One of {', '.join(QUOTA_LABELS)}.")],
    most: Annotated[str, typer.Argument(metavar="COUNT|none", help="none: as installed.")],
    as_json: AsJson = False,
) -> None:
    """Change a quota of a tier; it holds for all of its tenants within five seconds."""
    if quota not in QUOTAS:
        raise OperatorError(f"{quota!r} is no quota; they are {', '.join(QUOTA_LABELS)}")
    value = None if most == _NONE else _count(most)

    async def act(pool: Pool, _: Settings) -> Tier:
        return await change_quotas(pool, name, {quota: value}, actor=operator())

    _tell(with_pool(act), as_json=as_json)


@app.command("bounds")
def bounds_command(
    name: TierName,
    kind: Kind,
    days: Days = None,
    least: Least = None,
    most: Most = None,
    as_json: AsJson = False,
) -> None:
    """Change for how long tenants of a tier may keep things of a kind. What is not given stays."""

    async def act(pool: Pool, _: Settings) -> Tier:
        now = (await read_tier(pool, name)).retention[kind]
        term = changed_term(now, kind, days=days, least=least, most=most)
        return await change_term(pool, name, kind, term, actor=operator())

    _tell(with_pool(act), as_json=as_json)


def as_dict(tier: Tier) -> dict[str, object]:
    """Return a tier as JSON values."""
    retention = {kind: term.to_dict() for kind, term in tier.retention.items()}
    return {"name": tier.name, "quotas": dict(tier.quotas), "retention": retention}


def _tell(tier: Tier, *, as_json: bool) -> None:
    typer.echo(json.dumps(as_dict(tier)) if as_json else _text(tier))


def _text(tier: Tier) -> str:
    quotas = [f"  {name:<26}{most:>16,}" for name, most in tier.quotas.items()]
    times = [
        f"  keeps {kind:<20}{days_text(term.days):>16}  ({term.bounds_text})"
        for kind, term in tier.retention.items()
    ]
    return "\n".join([tier.name, *quotas, *times])


def _count(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise OperatorError(f"{text!r} is neither a number nor `{_NONE}`") from error
