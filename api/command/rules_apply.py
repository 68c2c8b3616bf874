"""`betrace rules apply`: bring a tenant's rules to what files say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def extend(app: typer.Typer) -> None:
    """Add the command to the group of rules commands."""
    app.command("apply")(apply)


def apply(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, metavar="FILE…")],
    tenant: Annotated[str, typer.Option(help="Name or id.")],
    dry_run: Annotated[bool, typer.Option(help="Say what would be done, and do nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Save every rule of the files, all or none. Rules that are as before stay as they are.

    One in quarantine leaves it only if something of it changed.

    Needs DATABASE_URL and BETRACE_KAFKA. Exit 2 if a rule is not valid, and nothing is saved.
    """
    from api.command.operator import operator_scope, publisher_of, tenant_named, with_pool
    from api.database import Pool
    from api.keyring.wiring import open_keys
    from api.redaction.redactors import Redactors
    from api.rules.definitions import Definition, read_definitions
    from api.rules.redacted import fit
    from api.rules.service import apply_rules, plan_rules
    from api.settings import Settings

    async def act(pool: Pool, settings: Settings) -> list[dict[str, object]]:
        definitions: list[Definition] = []
        for file in files:
            definitions += read_definitions(file.read_text(), filename=str(file))
        scope = operator_scope((await tenant_named(pool, tenant)).id)
        keys = open_keys(settings.keys, pool)
        redactors = Redactors(pool, keys.ring if keys else None)
        definitions = await fit(redactors, scope, definitions)
        if dry_run:
            plan = await plan_rules(pool, scope, definitions)
            return [
                {"id": definition.id, "outcome": outcome.value}
                for definition, outcome in zip(definitions, plan, strict=True)
            ]
        publisher = publisher_of(pool, settings)
        return [
            {
                "id": saved.rule.id,
                "outcome": saved.outcome.value,
                "version": saved.rule.version,
                "state": saved.rule.state.value,
                "published": saved.rule.published,
            }
            for saved in await apply_rules(pool, publisher, scope, definitions)
        ]

    results = with_pool(act)
    if as_json:
        typer.echo(json.dumps({"rules": results}))
        return
    for result in results:
        waiting = "" if result.get("published", True) else " (waits for Kafka)"
        held = " (in quarantine)" if result.get("state") == "quarantined" else ""
        typer.echo(f"{result['outcome']:9} {result['id']}{waiting}{held}")
