"""`betrace tenant`: tenants and how their traces are judged."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated
from uuid import UUID

import typer

from api.command.operator import operator_scope, publisher_of, say, with_pool
from api.database import Pool
from api.durations import duration_ms
from api.errors import OperatorError
from api.settings import Settings
from api.tenants.service import Tenant, change_settings, create_tenant, find_tenant, list_tenants
from api.tenants.settings import TenantSettings
from api.tiers.model import DEFAULT
from api.tiers.service import read_tier

app = typer.Typer(no_args_is_help=True, help="Tenants and how their traces are judged.")

_NEVER = "never"
_DEFAULT = "default"
_OWN = "COUNT|default"
Duration = Annotated[str | None, typer.Option(metavar="DURATION", help="Such as 2s or 10m.")]
Limit = int | None
OwnLimit = str | None
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("create")
def create(
    name: str,
    settle: Duration = None,
    patience: Duration = None,
    max_life: Duration = None,
    lateness: Duration = None,
    span_sampled: Annotated[bool, typer.Option(help="Spans are sampled one by one.")] = False,
    external_roots: Annotated[
        bool | None, typer.Option(help="Traces begin outside of what the tenant exports.")
    ] = None,
    clock_skew: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="By how much clocks of services may differ."),
    ] = None,
    max_trace_spans: Annotated[Limit, typer.Option(help="Over it a trace is truncated.")] = None,
    max_open_traces: Annotated[Limit, typer.Option(help="Traces that are open at a time.")] = None,
    max_open_bytes: Annotated[Limit, typer.Option(help="What is kept of their spans.")] = None,
    max_known_traces: Annotated[Limit, typer.Option(help="Closed ones, remembered.")] = None,
    fold_after: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT|never",
            help="Signals of a rule, lane and minute that are whole; more are counted.",
        ),
    ] = None,
    max_rules: Annotated[Limit, typer.Option(help="Rules that it may have at a time.")] = None,
    max_members: Annotated[
        str | None,
        typer.Option(metavar="COUNT|never", help="Members and open invitations."),
    ] = None,
    monthly_spans: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT|never",
            help="Of which admins are warned at 80, 90 and 100 %; nothing is dropped.",
        ),
    ] = None,
    requests_per_min: Annotated[
        OwnLimit, typer.Option(metavar=_OWN, help="Requests of all callers.")
    ] = None,
    person_requests_per_min: Annotated[
        OwnLimit, typer.Option(metavar=_OWN, help="Of one person.")
    ] = None,
    key_requests_per_min: Annotated[
        OwnLimit, typer.Option(metavar=_OWN, help="Of one API key.")
    ] = None,
    spans_per_s: Annotated[
        OwnLimit, typer.Option(metavar=_OWN, help="Spans that it may send.")
    ] = None,
    span_bytes_per_s: Annotated[OwnLimit, typer.Option(metavar=_OWN, help="Their bytes.")] = None,
    tier: Annotated[
        str | None, typer.Option(help="Of a new tenant: see `betrace tier list`.")
    ] = None,
    tenant_id: Annotated[UUID | None, typer.Option("--id", help="Its id, chosen.")] = None,
    if_absent: Annotated[
        bool, typer.Option(help="An existing one is fine; it gets the settings given.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a tenant, and tell the job how its traces are judged."""
    given = {
        "settle_ms": settle,
        "patience_ms": patience,
        "max_life_ms": max_life,
        "lateness_ms": lateness,
        "clock_skew_ms": clock_skew,
    }
    chosen: dict[str, int | bool | None] = {
        key: _milliseconds(text) for key, text in given.items() if text is not None
    }
    limits = {
        "max_trace_spans": max_trace_spans,
        "max_open_traces": max_open_traces,
        "max_open_bytes": max_open_bytes,
        "max_known_traces": max_known_traces,
        "max_rules": max_rules,
    }
    chosen |= {key: limit for key, limit in limits.items() if limit is not None}
    own_limits = {
        "requests_per_min": requests_per_min,
        "person_requests_per_min": person_requests_per_min,
        "key_requests_per_min": key_requests_per_min,
        "spans_per_s": spans_per_s,
        "span_bytes_per_s": span_bytes_per_s,
    }
    chosen |= {
        key: _count_or_none(text, none=_DEFAULT)
        for key, text in own_limits.items()
        if text is not None
    }
    chosen |= {"span_sampled": True} if span_sampled else {}
    chosen |= {"external_roots": external_roots} if external_roots is not None else {}
    counts = {
        "fold_after": fold_after,
        "monthly_spans": monthly_spans,
        "max_members": max_members,
    }
    chosen |= {
        key: _count_or_none(text, none=_NEVER) for key, text in counts.items() if text is not None
    }

    async def act(pool: Pool, settings: Settings) -> tuple[Tenant, bool, bool]:
        tenant = await find_tenant(pool, name) if if_absent else None
        created = tenant is None
        if tenant is None:
            granted = await read_tier(pool, tier or DEFAULT)
            tenant = await create_tenant(
                pool,
                name,
                _settings(granted.settings, chosen),
                grant=operator_scope,
                tenant_id=tenant_id,
                tier=granted.name,
            )
        elif tier not in (None, tenant.tier):
            raise OperatorError(
                f"tenant {name!r} has the tier {tenant.tier}: betrace tenant tier changes that"
            )
        elif tenant_id not in (None, tenant.id):
            raise OperatorError(f"tenant {name!r} has the id {tenant.id}, not {tenant_id}")
        else:
            tenant = replace(tenant, settings=_settings(tenant.settings, chosen))
            await change_settings(pool, operator_scope(tenant.id), tenant.settings)
        published = await publisher_of(pool, settings).publish(operator_scope(tenant.id))
        return tenant, created, published

    tenant, created, published = with_pool(act)
    say(
        {**_as_dict(tenant), "created": created, "published": published},
        as_json=as_json,
        text=f"tenant {tenant.name} has the id {tenant.id}"
        + ("" if published else "\nKafka does not answer: the API will tell the job later"),
    )


@app.command("list")
def list_command(as_json: AsJson = False) -> None:
    """List every tenant."""

    async def act(pool: Pool, _: Settings) -> list[Tenant]:
        return await list_tenants(pool)

    tenants = with_pool(act)
    if as_json:
        typer.echo(json.dumps({"tenants": [_as_dict(tenant) for tenant in tenants]}))
        return
    for tenant in tenants:
        state = "  (suspended)" if tenant.suspended_at else ""
        if tenant.delete_after:
            state += f"  (deleted after {tenant.delete_after:%Y-%m-%d %H:%M} UTC)"
        typer.echo(f"{tenant.id}  {tenant.tier:<12}{tenant.name}{state}")


def _as_dict(tenant: Tenant) -> dict[str, object]:
    return {
        "id": str(tenant.id),
        "name": tenant.name,
        "suspended": tenant.suspended_at is not None,
        "tier": tenant.tier,
        "delete_after": tenant.delete_after.isoformat() if tenant.delete_after else None,
        "settings": tenant.settings.to_dict(),
    }


def _settings(base: TenantSettings, chosen: dict[str, int | bool | None]) -> TenantSettings:
    try:
        return TenantSettings.from_dict({**base.to_dict(), **chosen})
    except ValueError as error:
        raise OperatorError(str(error)) from error


def _count_or_none(text: str, *, none: str) -> int | None:
    if text == none:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is neither a number nor `{none}`") from error


def _milliseconds(text: str) -> int:
    try:
        return duration_ms(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
