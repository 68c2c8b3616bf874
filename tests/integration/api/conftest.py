"""The API on a real Postgres; each test makes tenants of its own in one database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from api.auth.principal import Role, TenantScope
from api.database import Pool, open_pool
from api.limits.settings import RequestLimits
from api.services import run_services
from api.settings import Settings
from tests.support.kafka import running_kafka
from tests.support.postgres import Database, Server
from tests.support.rules_log import MemoryRulesLog
from tests.support.tenants import PEPPER, make_key, make_tenant

NO_KAFKA = "127.0.0.1:1"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with an API key of a tenant."""

    scope: TenantScope
    client: httpx.AsyncClient


@pytest.fixture(scope="package")
def kafka() -> Iterator[str]:
    """The address of a running broker."""
    with running_kafka() as broker:
        yield broker.address


@pytest.fixture(scope="package")
def shared_database(postgres: Server) -> Database:
    """One migrated database for the tests of the API."""
    return postgres.database()


@pytest.fixture
async def pool(shared_database: Database) -> AsyncIterator[Pool]:
    """A pool of the application's role."""
    async with open_pool(shared_database.app, size=4) as opened:
        yield opened


@pytest.fixture
async def scope(pool: Pool) -> TenantScope:
    """A new tenant."""
    return await make_tenant(pool)


@pytest.fixture
def rules_log() -> MemoryRulesLog:
    """The rules log that the application publishes to."""
    return MemoryRulesLog()


@pytest.fixture
def settings(shared_database: Database) -> Settings:
    """Settings of an application on the shared database."""
    return Settings.model_validate(
        {
            "database_url": shared_database.app,
            "secret_key": PEPPER.decode(),
            "kafka": NO_KAFKA,
        }
    )


@pytest.fixture(scope="package")
def built() -> list[tuple[Settings, FastAPI]]:
    """Applications and their settings: to build one takes longer than most tests."""
    return []


@pytest.fixture
def limits() -> RequestLimits | None:
    """How much everybody may ask for; None: as by default."""
    return None


@pytest.fixture
async def app(
    settings: Settings,
    rules_log: MemoryRulesLog,
    limits: RequestLimits | None,
    built: list[tuple[Settings, FastAPI]],
) -> AsyncIterator[FastAPI]:
    """The running application. What it holds and remembers is each test's own."""
    from api.main import create_app

    application = next((app for known, app in built if known == settings), None)
    if application is None:
        application = create_app(settings)
        built.append((settings, application))
    async with run_services(settings, rules_log=rules_log, limits=limits) as services:
        application.state.services = services
        yield application


@pytest.fixture
async def anonymous(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a credential."""
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def caller(app: FastAPI, pool: Pool) -> AsyncIterator[Caller]:
    """An administrator's key of a new tenant."""
    scope = await make_tenant(pool)
    async with client_of(app, key=await make_key(pool, scope)) as client:
        yield Caller(scope, client)


@pytest.fixture
async def stranger(app: FastAPI, pool: Pool) -> AsyncIterator[Caller]:
    """An administrator's key of another new tenant."""
    scope = await make_tenant(pool)
    async with client_of(app, key=await make_key(pool, scope, Role.ADMIN)) as client:
        yield Caller(scope, client)


def client_of(app: FastAPI, *, key: str | None = None) -> httpx.AsyncClient:
    """Return a client of the application, with an API key."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        base_url="http://betrace.test",
        headers={"X-API-Key": key} if key else {},
    )
