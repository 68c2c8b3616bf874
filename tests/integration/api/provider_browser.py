"""Somebody's browser at the application, on its way to an identity provider and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import psycopg
from fastapi import FastAPI

from api.auth.principal import TenantScope
from tests.support.oidc import SITE, answer_of
from tests.support.postgres import Database

HERE: Final = "/sign-in/provider"


@dataclass
class Browser:
    """Somebody's browser."""

    http: httpx.AsyncClient
    query: dict[str, str] = field(default_factory=dict)

    async def begin(self, **params: str) -> str:
        """Follow the button of the sign-in page; return where that leads."""
        response = await self.http.get(HERE, params=params)
        assert response.status_code == 303, response.text
        return response.headers["location"]

    async def come_back(self, query: dict[str, str]) -> httpx.Response:
        """Arrive from the provider."""
        self.query = query
        return await self.http.get(f"{HERE}/callback", params=query)

    async def sign_in(self, person: str, **params: str) -> httpx.Response:
        """Go all the way."""
        return await self.come_back(await answer_of(await self.begin(**params), person=person))

    async def identity(self) -> dict[str, Any] | None:
        """Return who the API says one is."""
        response = await self.http.get("/api/v1/session")
        return response.json() if response.status_code == 200 else None


def browser_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=SITE)


async def refusals(app: FastAPI, database: Database) -> list[str]:
    """Return the reasons of refused sign-ins of this test, newest first."""
    await app.state.services.decisions.flush(whole=True)
    with psycopg.connect(database.admin) as connection:
        rows = connection.execute(
            "select reason from audit_log where action = 'session.refused'"
            " and at > now() - interval '1 hour' order by seq desc"
        ).fetchall()
    return [row[0] for row in rows]


async def log_of(database: Database, scope: TenantScope) -> list[tuple[str, dict[str, str]]]:
    with psycopg.connect(database.admin) as connection:
        return connection.execute(
            "select action, details from audit_log where tenant_id = %s order by seq",
            [scope.tenant_id],
        ).fetchall()


def led_to(response: httpx.Response) -> str:
    """Return where a page leads on to."""
    assert response.status_code == 200, response.text
    found = response.text.split('http-equiv="refresh" content="0;url=')[1].split('"')[0]
    return found.replace("&amp;", "&")
