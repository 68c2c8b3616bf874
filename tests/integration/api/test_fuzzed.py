"""The published description against the application, by Schemathesis: as everybody, in sequences.

Cases are made from the description alone, right and wrong ones; answers must be what it says, and
never an error of ours. BETRACE_FUZZ_EXAMPLES (3) says how many cases of each operation and caller.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import schemathesis
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.auth.access import CSRF_HEADER, SESSION_COOKIE
from api.auth.principal import Role
from api.database import open_pool
from api.limits.settings import NO_LIMITS
from api.main import create_app
from api.settings import Settings
from tests.support.filled import Filled, filled_tenant
from tests.support.kafka import free_port
from tests.support.postgres import Database
from tests.support.rules_log import MemoryRulesLog
from tests.support.tenants import add_operator, make_key

EXAMPLES = int(os.environ.get("BETRACE_FUZZ_EXAMPLES", "3"))
OPERATOR = "operator"
CALLERS = ["anonymous", OPERATOR, *(role.value for role in Role)]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
CREDENTIALS = frozenset({"x-api-key", "authorization", "cookie", CSRF_HEADER.lower()})
PATIENCE_S = 60.0
FUZZED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Installation:
    """An application behind a port, with a tenant that has one of everything."""

    app: FastAPI
    url: str
    database: Database
    filled: Filled
    keys: dict[str, str] = field(default_factory=dict)

    def headers(self, caller: str) -> dict[str, str]:
        """Return the credential of a caller: a new session of a person, or whose key there is."""
        if caller == "anonymous":
            return {}
        if caller in self.keys:
            return {"X-API-Key": self.keys[caller]}
        token, csrf, user_id = secrets.token_urlsafe(32), secrets.token_urlsafe(32), uuid4()
        token_hash = self.app.state.services.sessions.hash_of(token)
        tenant_id = self.filled.scope.tenant_id
        with psycopg.connect(self.database.admin) as connection:
            connection.execute(
                "insert into users (id, email, name, password_hash) values (%s, %s, 'A', '')",
                [user_id, f"{user_id}@example.com"],
            )
            connection.execute(
                "insert into memberships (tenant_id, user_id, role, expires_at)"
                " values (%s, %s, %s, now() + interval '1 day')",
                [tenant_id, user_id, caller],
            )
            connection.execute(
                "insert into sessions (token_hash, user_id, tenant_id, csrf_token, expires_at)"
                " values (%s, %s, %s, %s, now() + %s)",
                [token_hash, user_id, tenant_id, csrf, timedelta(hours=1)],
            )
        return {"Cookie": f"{SESSION_COOKIE}={token}", CSRF_HEADER: csrf}


@pytest.fixture(scope="module")
def installation(shared_database: Database) -> Iterator[Installation]:
    """The application in a thread; streams end at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.signals.routes.STREAM_LIFE_S", 0.01)
        chosen = Settings.model_validate(
            {
                "database_url": shared_database.app,
                "secret_key": "a pepper for tests, of 32 characters or more",
                "kafka": "127.0.0.1:1",
            }
        )
        app = create_app(chosen, rules_log=MemoryRulesLog(), limits=NO_LIMITS)
        port = free_port()
        server = uvicorn.Server(
            uvicorn.Config(app, port=port, log_level="error", access_log=False, ws="none")
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        deadline = time.monotonic() + PATIENCE_S
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline, "the API does not start"
            time.sleep(0.05)
        filled, keys = asyncio.run(_fill(shared_database))
        made = Installation(app, f"http://127.0.0.1:{port}", shared_database, filled, keys)
        _save_rule(made)
        yield made
        server.should_exit = True
        thread.join(PATIENCE_S)


def _save_rule(installation: Installation) -> None:
    """Save the tenant's rule by the API: the one written past it has no plan that could be told."""
    answer = httpx.put(
        f"{installation.url}/api/v1/rules/{installation.filled.ids['rule_id']}",
        json={"rule": "when { a } never { c }"},
        headers=installation.headers(Role.ADMIN),
        timeout=PATIENCE_S,
    )
    assert answer.status_code == 200, answer.text


async def _fill(database: Database) -> tuple[Filled, dict[str, str]]:
    async with open_pool(database.app, size=2) as pool:
        filled = await filled_tenant(pool, database)
        machine = await make_key(pool, filled.scope, Role.API_CLIENT)
        return filled, {Role.API_CLIENT: machine, OPERATOR: await add_operator(pool)}


def described(installation: Installation) -> Any:
    """Return the description as Schemathesis reads it."""
    schema = schemathesis.openapi.from_dict(installation.app.openapi())
    schema.config.update(base_url=installation.url)
    return schema


class Conversation:
    """Calls as one caller, with a new session where the last one was ended by a case."""

    def __init__(self, installation: Installation, caller: str) -> None:
        self._installation = installation
        self._caller = caller
        self.headers = installation.headers(caller)
        self.count = 0

    def validate(self, case: Any, response: Any) -> None:
        """Raise schemathesis's failures if an answer is not as described."""
        self.count += 1
        if response.status_code == 401 and self._caller != "anonymous":
            self.headers = self._installation.headers(self._caller)
        if _is_known_outage(response):
            return
        case.validate_response(response, checks=CHECKS)


def _is_known_outage(response: Any) -> bool:
    """There is no Kafka here: what needs it says so, as it should."""
    if response.status_code != 503:
        return False
    body = response.json()
    return body.get("code") == "kafka.unavailable" or body.get("status") == "unavailable"


def as_nobody(case: Any) -> Any:
    """Return a case without the credentials that Schemathesis makes up: callers have their own."""
    for name in [name for name in case.headers if name.lower() in CREDENTIALS]:
        del case.headers[name]
    case.cookies.clear()
    return case


@pytest.mark.parametrize("caller", CALLERS)
def test_every_operation_answers_as_described(
    caller: str, installation: Installation, record_property: Callable[..., None]
) -> None:
    conversation = Conversation(installation, caller)
    operations = [each.ok() for each in described(installation).get_all_operations()]
    assert len(operations) > 30
    for operation in operations:
        modes = list(schemathesis.GenerationMode)
        cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])

        @FUZZED
        @given(case=cases)
        def fuzz(case: Any) -> None:
            response = as_nobody(case).call(headers=conversation.headers, timeout=PATIENCE_S)
            conversation.validate(case, response)

        fuzz()
    record_property("fuzzed", conversation.count)
    assert conversation.count >= len(operations)


@pytest.mark.parametrize("caller", [Role.ADMIN, Role.DEVELOPER, Role.VIEWER])
def test_sequences_of_calls_answer_as_described(caller: str, installation: Installation) -> None:
    """What one answer names is asked for by the next call: made, read, changed, deleted."""
    conversation = Conversation(installation, caller)

    class Sequence(described(installation).as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            as_nobody(case)
            return {"headers": conversation.headers, "timeout": PATIENCE_S}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            conversation.validate(case, response)

    Sequence.run(settings=settings(FUZZED, max_examples=2 * EXAMPLES, stateful_step_count=10))
    assert conversation.count > 2 * EXAMPLES
