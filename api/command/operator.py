"""What the commands that make tenants, keys and people share.

Whoever may start these commands with the database's address is an operator: this is where their
authority over any tenant comes from.
"""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

import typer

from api.auth.principal import TenantScope, grant_scope
from api.database import Pool, open_pool
from api.errors import OperatorError
from api.kafka.topics import TopicNames
from api.logs import configure_logging
from api.problems import ApiError
from api.rules.log import KafkaRulesLog
from api.rules.outbox import Publisher
from api.settings import Settings, load_settings
from api.tenants.service import Tenant, find_tenant

_T = TypeVar("_T")


def with_pool(act: Callable[[Pool, Settings], Awaitable[_T]]) -> _T:
    """Run something on the database of DATABASE_URL; a refusal becomes one line and exit 2."""
    settings = load_settings()
    configure_logging("error")

    async def run() -> _T:
        async with open_pool(settings.app_dsn, size=2, name="betrace-command") as pool:
            return await act(pool, settings)

    try:
        return asyncio.run(run())
    except ApiError as refusal:
        raise OperatorError(describe(refusal)) from refusal


def operator_scope(tenant_id: UUID) -> TenantScope:
    """Return the scope of the person at the command line."""
    return grant_scope(tenant_id, actor=operator())


def operator() -> str:
    """Return the name of the person at the command line, as records have it."""
    return f"operator:{getpass.getuser()}"


async def tenant_named(pool: Pool, name_or_id: str) -> Tenant:
    """Return a tenant. Raises OperatorError if there is none."""
    tenant = await find_tenant(pool, name_or_id)
    if tenant is None:
        raise OperatorError(f"there is no tenant {name_or_id!r}; `betrace tenant list` names them")
    return tenant


def publisher_of(pool: Pool, settings: Settings) -> Publisher:
    """Return a publisher to the rules log of the settings."""
    topics = TopicNames(settings.topic_prefix)
    return Publisher(pool, KafkaRulesLog(settings.kafka, topic=topics.rules))


def say(values: dict[str, Any], *, as_json: bool, text: str) -> None:
    """Print a result: one JSON object for programs, or a sentence for people."""
    typer.echo(json.dumps(values) if as_json else text)


def switch_tenant(
    name: str,
    switch: Callable[[Pool, TenantScope], Awaitable[bool]],
    done: str,
    was_so: str,
    *,
    as_json: bool,
) -> None:
    """Do something to a tenant and say what came of it.

    switch: returns whether it changed anything; done, was_so: what is said of the tenant then.
    """

    async def act(pool: Pool, _: Settings) -> dict[str, object]:
        tenant = await tenant_named(pool, name)
        changed = await switch(pool, operator_scope(tenant.id))
        return {"id": str(tenant.id), "name": tenant.name, "changed": changed}

    told = with_pool(act)
    say(told, as_json=as_json, text=f"{told['name']} {done if told['changed'] else was_so}")


def describe(refusal: ApiError) -> str:
    """Return a refusal with its problems, one a line."""
    lines = [refusal.detail]
    for problem in refusal.members.get("problems", []):
        place = f"{problem.get('line', '?')}:{problem.get('column', '?')}"
        hint = f" ({problem['hint']})" if problem.get("hint") else ""
        rule = f"{problem['rule']}: " if problem.get("rule") else ""
        lines.append(f"  {rule}{place} {problem['code']}: {problem['message']}{hint}")
    return "\n".join(lines)
