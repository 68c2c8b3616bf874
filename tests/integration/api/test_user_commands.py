"""`betrace user`: what operators do for people who cannot help themselves."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from api.auth.accounts import Accounts
from api.auth.passwords import Passwords
from api.auth.second_factor import SecondFactors
from api.auth.sessions import Sessions
from api.command.user import app
from api.database import open_pool
from api.errors import OperatorError
from tests.support.postgres import Database
from tests.support.tenants import PEPPER, make_tenant


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, shared_database: Database) -> None:
    monkeypatch.setenv("DATABASE_URL", shared_database.app)
    monkeypatch.setenv("BETRACE_SECRET_KEY", PEPPER.decode())
    monkeypatch.setenv("BETRACE_PUBLIC_URL", "https://betrace.example.com/")


def _betrace_user(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


async def _tenant(database: Database) -> str:
    async with open_pool(database.app, size=1) as pool:
        return str((await make_tenant(pool)).tenant_id)


async def _reset(database: Database, token: str, new: str) -> None:
    async with open_pool(database.app, size=1) as pool:
        sessions = Sessions(pool, pepper=PEPPER)
        accounts = Accounts(
            pool,
            pepper=PEPPER,
            passwords=Passwords(),
            sessions=sessions,
            factors=SecondFactors(pepper=PEPPER),
        )
        await accounts.reset_password(token, new=new)


def test_a_printed_link_sets_a_password(shared_database: Database) -> None:
    email = f"{uuid4()}@example.com"
    tenant = asyncio.run(_tenant(shared_database))
    made = _betrace_user("create", email, "--tenant", tenant)
    assert len(made["password"]) == 20
    link = urlsplit(_betrace_user("reset-link", email)["link"])
    assert (link.scheme, link.netloc, link.path) == (
        "https", "betrace.example.com", "/reset-password",
    )  # fmt: skip
    (token,) = parse_qs(link.query)["token"]
    asyncio.run(_reset(shared_database, token, "a ladder against the moon"))
    assert _betrace_user("sign-out", email)["ended"] == 0
    assert _betrace_user("remove-second-factor", email)["removed"] is False


@pytest.mark.parametrize("command", ["reset-link", "remove-second-factor", "sign-out"])
def test_an_unknown_person_is_said(command: str) -> None:
    with pytest.raises(OperatorError, match="no such user"):
        _betrace_user(command, "nobody@example.com")
