"""`betrace key …` on a real database."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from api.auth.keys import is_well_formed, new_key
from api.command.key import app
from api.database import open_pool
from api.errors import OperatorError
from tests.support.postgres import Database
from tests.support.tenants import PEPPER, make_tenant


@pytest.fixture
def tenant(shared_database: Database, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new tenant, in a database that the command finds by its environment."""
    monkeypatch.setenv("DATABASE_URL", shared_database.app)
    monkeypatch.setenv("BETRACE_SECRET_KEY", PEPPER.decode())

    async def make() -> str:
        async with open_pool(shared_database.app, size=1) as pool:
            return str((await make_tenant(pool)).tenant_id)

    return asyncio.run(make())


def run(*arguments: str, stdin: str = "") -> str:
    result = CliRunner().invoke(app, arguments, input=stdin)
    if isinstance(result.exception, OperatorError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_a_key_has_the_scopes_end_and_networks_that_were_asked_for(tenant: str) -> None:
    made = run_json(
        "create", "--tenant", tenant, "--name", "collectors",
        "--scope", "spans.ingest", "--scope", "rules.test",
        "--expires", "90d", "--allow", "203.0.113.0/24", "--allow", "2001:db8::1",
    )  # fmt: skip
    lasts = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert is_well_formed(made["key"])
    assert (made["created"], made["role"], made["scopes"], made["networks"]) == (
        True, None, ["rules.test", "spans.ingest"], ["203.0.113.0/24", "2001:db8::1/128"],
    )  # fmt: skip
    assert abs(lasts - timedelta(days=90)) < timedelta(minutes=1)


def test_without_role_and_scope_a_key_is_an_api_client(tenant: str) -> None:
    made = run_json("create", "--tenant", tenant, "--name", "c")
    assert (made["role"], made["kind"], made["expires_at"]) == ("api-client", "live", None)
    test = run_json("create", "--tenant", tenant, "--name", "t", "--test")
    assert (test["kind"], test["key"][:13]) == ("test", "betrace_test_")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--role", "admin", "--scope", "rules.read"], "either a role or scopes"),
        (["--expires", "soon"], "--expires: 'soon' is no duration"),
        (["--expires", "0s"], "expires_at is over"),
        (["--expires", "4000d"], "ten years"),
        (["--expires", "9999999d"], "out of range"),
        (["--allow", "10.0.0.7/8"], "bits beyond the prefix"),
    ],
)
def test_what_no_key_can_be_is_one_line(arguments: list[str], says: str, tenant: str) -> None:
    with pytest.raises(OperatorError, match=says):
        run("create", "--tenant", tenant, "--name", "x", *arguments)


def test_a_known_key_is_stored_and_a_known_name_is_fine_if_asked(tenant: str) -> None:
    key = new_key()
    name = ["--tenant", tenant, "--name", "mine"]
    assert run("create", *name, "--from-stdin", stdin=f"{key}\n").strip() == key
    again = run_json("create", *name, "--if-absent")
    assert (again["created"], again["key"], again["shown"]) == (False, None, key[:19])
    with pytest.raises(OperatorError, match="already"):
        run("create", *name)


def test_a_key_is_rotated_and_revoked_and_stays_listed(tenant: str) -> None:
    old = run_json("create", "--tenant", tenant, "--name", "k")
    new = run_json("rotate", "--tenant", tenant, old["id"], "--overlap", "1h")
    assert (new["name"], new["key"] != old["key"]) == ("k", True)
    assert "revoked; every process" in run("revoke", "--tenant", tenant, new["id"])
    states = {
        key["id"]: key["state"] for key in run_json("list", "--tenant", tenant, "--ended")["keys"]
    }
    assert states == {old["id"]: "replaced", new["id"]: "revoked"}
    line = run("list", "--tenant", tenant)
    assert f"{old['shown']}…  replaced k: api-client; never used, ends " in line
    assert new["id"] not in line


def test_a_key_that_is_not_there_is_one_line(tenant: str) -> None:
    with pytest.raises(OperatorError, match="no such key"):
        run("revoke", "--tenant", tenant, str(uuid4()))
