"""Lists, filters, counts and groups of a million signals, asked at the REST API.

Requests go through the whole application in this process, without a network; Postgres is a server
of its own. Each figure is of so many calls after some that are not counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

import httpx
import psycopg
from psycopg.rows import dict_row
from pydantic import SecretStr

from api.auth.principal import Role, TenantScope
from api.bench.signal_store import Store, fill, make_tenant, now, rows, rule_id, service
from api.database import open_pool
from api.keys.authority import OPERATOR
from api.keys.model import KeyDraft
from api.keys.service import KeyMaker, create_key
from api.limits.settings import NO_LIMITS
from api.main import create_app
from api.settings import Settings
from api.worker.sums import settle

TARGET_MS: Final = 200
_WARM_UP: Final = 2
_SECRET: Final = "betrace bench signals has a pepper of its own"


@dataclass(frozen=True, slots=True)
class RequestFigures:
    """Calls of one request, in milliseconds. items: of its answer, a sanity check for readers."""

    name: str
    p50_ms: float
    p95_ms: float
    items: int


@dataclass(frozen=True, slots=True)
class SignalsFigures:
    """What was measured. bytes: of the table with its indexes and sums."""

    signals: int
    calls: int
    filled_per_s: int
    settled_s: float
    bytes: int
    requests: tuple[RequestFigures, ...]
    target_ms: int = TARGET_MS

    @property
    def within_target(self) -> bool:
        """Whether every request stays below the target."""
        return all(each.p95_ms < self.target_ms for each in self.requests)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {**asdict(self), "within_target": self.within_target}


def measure_signals(
    *,
    admin_dsn: str,
    app_dsn: str,
    worker_dsn: str,
    scope_of: Callable[[Any], TenantScope],
    signals: int,
    calls: int,
    say: Callable[[str], None],
) -> SignalsFigures:
    """Fill a migrated database that can be thrown away, and ask for what is in it.

    scope_of: grants a scope of the tenant that is made.
    """
    store = fill_store(admin_dsn=admin_dsn, worker_dsn=worker_dsn, signals=signals, say=say)
    settings = Settings(
        database_url=SecretStr(app_dsn), secret_key=SecretStr(_SECRET), kafka="127.0.0.1:1"
    )
    found = asyncio.run(_ask(settings, scope_of(store.tenant), store, calls=calls, say=say))
    return SignalsFigures(
        signals=signals,
        calls=calls,
        filled_per_s=round(signals / store.filled_s),
        settled_s=round(store.settled_s, 1),
        bytes=store.bytes,
        requests=tuple(found),
    )


def fill_store(
    *, admin_dsn: str, worker_dsn: str, signals: int, say: Callable[[str], None]
) -> Store:
    """Write the signals of a tenant of its own, and let Postgres look after them."""
    tenant, people, emails = make_tenant(admin_dsn)
    newest = now()
    say(f"writing {signals:,} signals")
    begun_s = time.monotonic()

    def tell(done: int) -> None:
        if done % 100_000 == 0:
            say(f"{done:,} written")

    made = rows(tenant, people, count=signals, newest=newest)
    with psycopg.connect(worker_dsn, autocommit=True) as worker:
        fill(worker, made, progress=tell)
    filled_s = time.monotonic() - begun_s
    say("putting sums together")
    begun_s = time.monotonic()
    with psycopg.connect(worker_dsn, autocommit=True, row_factory=dict_row) as keeper:
        while settle(keeper):
            pass
    settled_s = time.monotonic() - begun_s
    say("analysing")
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        connection.execute("truncate signal_feed")
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")
        sizes = connection.execute(
            "select sum(pg_total_relation_size(name::regclass))::bigint from"
            " unnest(array['signals', 'signal_sums', 'signal_group_sums']) as t (name)"
        ).fetchone()
    return Store(tenant, signals, emails, newest, filled_s, settled_s, sizes[0] if sizes else 0)


def requests_of(store: Store) -> Mapping[str, tuple[str, dict[str, Any]]]:
    """Return what is asked for: name to path and query."""

    def since(days: float) -> str:
        return (store.newest - timedelta(days=days)).isoformat()

    someone = store.people[0]
    narrow = {"status": "open", "severity": "critical", "service": service(2)}
    filters: dict[str, dict[str, Any]] = {
        "all": {},
        "status open": {"status": "open"},
        "unresolved": {"status": ["open", "investigating"]},
        "critical": {"severity": "critical"},
        "critical, open": {"status": "open", "severity": "critical"},
        "common service": {"service": service(0)},
        "rare service": {"service": service(23)},
        "common rule": {"rule_id": rule_id(0)},
        "rare rule": {"rule_id": rule_id(49)},
        "two rules": {"rule_id": [rule_id(3), rule_id(40)]},
        "assignee": {"assignee": someone},
        "nobody's, open": {"assignee": "", "status": "open"},
        "tag": {"tag": "pii"},
        "status, severity and service": narrow,
        "last hour": {"from": since(1 / 24)},
        "last day": {"from": since(1)},
        "last week": {"from": since(7)},
        "last month": {"from": since(30)},
        "a week two months ago": {"from": since(67.3), "to": since(60.1)},
        "nothing": {"tag": "none", "severity": "info", "status": "investigating"},
    }
    listed = {f"list, {name}": ("/api/v1/signals", query) for name, query in filters.items()}
    counted = {
        f"counts, {name}": ("/api/v1/signals/facets", query) for name, query in filters.items()
    }
    grouped = {
        f"groups, {name}": ("/api/v1/signals/groups", query) for name, query in filters.items()
    }
    orders = {
        f"list, by {sort}": ("/api/v1/signals", {"sort": sort})
        for sort in ("oldest", "severity", "status")
    }
    group_orders = {
        f"groups, by {sort}": ("/api/v1/signals/groups", {"sort": sort})
        for sort in ("first_seen", "count", "severity")
    }
    home: dict[str, tuple[str, dict[str, Any]]] = {
        "figures": ("/api/v1/signals/figures", {}),
        "trending": ("/api/v1/signals/trending", {}),
        "incidents": ("/api/v1/signals/incidents", {}),
    }
    return {**listed, **orders, **counted, **grouped, **group_orders, **home}


async def _ask(
    settings: Settings, scope: TenantScope, store: Store, *, calls: int, say: Callable[[str], None]
) -> list[RequestFigures]:
    app = create_app(settings, limits=NO_LIMITS)
    async with app.router.lifespan_context(app):
        key = await _key(settings, scope)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://bench.example",
            headers={"X-API-Key": key},
            timeout=60,
        ) as client:
            deep = await _deep_cursor(client)
            wanted = {
                **requests_of(store),
                "list, page 40": ("/api/v1/signals", {"cursor": deep}),
            }
            found = []
            for name, (path, query) in wanted.items():
                say(name)
                found.append(await _time(client, name, path, query, calls=calls))
            return found


async def _time(
    client: httpx.AsyncClient, name: str, path: str, query: dict[str, Any], *, calls: int
) -> RequestFigures:
    took_ms: list[float] = []
    body: dict[str, Any] = {}
    for number in range(calls + _WARM_UP):
        begun = time.perf_counter()
        answer = await client.get(path, params=query)
        spent_ms = (time.perf_counter() - begun) * 1_000
        body = answer.raise_for_status().json()
        if number >= _WARM_UP:
            took_ms.append(spent_ms)
    took_ms.sort()
    return RequestFigures(
        name=name,
        p50_ms=round(took_ms[len(took_ms) // 2], 1),
        p95_ms=round(took_ms[min(len(took_ms) - 1, int(len(took_ms) * 0.95))], 1),
        items=len(body["items"]) if "items" in body else int(body.get("total", 0)),
    )


async def _deep_cursor(client: httpx.AsyncClient) -> str:
    """Return the cursor after two thousand signals."""
    first = await client.get("/api/v1/signals", params={"limit": 1_000})
    second = await client.get(
        "/api/v1/signals", params={"limit": 1_000, "cursor": first.json()["next_cursor"] or ""}
    )
    return str(second.json()["next_cursor"] or first.json()["next_cursor"])


async def _key(settings: Settings, scope: TenantScope) -> str:
    async with open_pool(settings.app_dsn, size=1, name="betrace bench") as pool:
        draft = KeyDraft(name="bench", role=Role.ADMIN)
        maker = KeyMaker(settings.pepper, most=10)
        made = await create_key(pool, scope, draft, maker=maker, authority=OPERATOR)
        return made.text
