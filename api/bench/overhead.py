"""What is done for every request beside what it asks for: credential, limits, permission, record.

The functions are those that requests go through, called one after the other in this process, on a
real Postgres (and Redis if one is set). Times are those of the clock, since most of it is waiting.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any, Final
from uuid import uuid4

from fastapi import Request

from api.audit.decisions import Decision
from api.audit.origin import origin_of
from api.audit.trail import record
from api.auth.access import SESSION_COOKIE, Require
from api.auth.client import Client
from api.auth.principal import Permission, Principal, Role, TenantScope, UserPrincipal
from api.database import tenant_transaction
from api.keys.authority import OPERATOR
from api.keys.model import KeyDraft
from api.keys.service import create_key
from api.limits.settings import RequestLimits
from api.services import Services, run_services
from api.settings import Settings
from api.tenants.service import create_user

TARGET_US: Final = 5_000
KEY, SESSION = "API key, known", "session, asked of Postgres"
LIMIT, PERMISSION = "limits", "permission"
REFUSAL, CHANGE = "a refusal on the record", "a change on the record, in its transaction"
WITH_KEY, WITH_SESSION = "a request with a key", "a request with a session"
_WARM_UP: Final = 20
_NO_LIMIT: Final = 10**9


@dataclass(frozen=True, slots=True)
class StepTime:
    """How long a step takes. is_sum: a whole request, as the route's dependency does it."""

    step: str
    p50_us: int
    p95_us: int
    is_sum: bool = False


@dataclass(frozen=True, slots=True)
class OverheadFigures:
    """Every step, then whole requests."""

    rows: tuple[StepTime, ...]
    target_us: int = TARGET_US

    @property
    def within_target(self) -> bool:
        """Whether whole requests, with a change put on the record, stay below the target."""
        change_us = next(row.p95_us for row in self.rows if row.step == CHANGE)
        return all(row.p95_us + change_us < self.target_us for row in self.rows if row.is_sum)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "steps": [asdict(row) for row in self.rows],
            "target_us": self.target_us,
            "within_target": self.within_target,
        }


async def measure_overhead(
    settings: Settings, scope: TenantScope, *, calls: int
) -> OverheadFigures:
    """Measure every step so many times, for a tenant that gets a key and a person for it.

    Raises DatabaseUnavailable.
    """
    limits = RequestLimits(
        tenant_per_min=_NO_LIMIT, person_per_min=_NO_LIMIT, key_per_min=_NO_LIMIT
    )
    async with run_services(settings, limits=limits) as services:
        caller = await _Caller.made(services, scope)
        rows = [await _timed(step, call, calls) for step, call in caller.steps()]
        rows += [
            await _timed(step, call, calls, is_sum=True)
            for step, call in (
                (WITH_KEY, caller.request_with_key),
                (WITH_SESSION, caller.request_with_session),
            )
        ]
        return OverheadFigures(tuple(rows))


@dataclass(frozen=True, slots=True)
class _Caller:
    """Somebody with a key and a session."""

    services: Services
    scope: TenantScope
    key: str
    session: str
    person: UserPrincipal

    @classmethod
    async def made(cls, services: Services, scope: TenantScope) -> _Caller:
        """Make a key and a person who is signed in."""
        draft = KeyDraft(name=f"bench-{uuid4()}", role=Role.ADMIN)
        made = await create_key(
            services.pool, scope, draft, maker=services.key_maker, authority=OPERATOR
        )
        user_id = await create_user(
            services.pool,
            scope,
            email=f"{uuid4()}@bench.invalid",
            name="Bench",
            role=Role.ADMIN,
            password=secrets.token_urlsafe(32),
        )
        begun = await services.sessions.begin(user_id, client=Client("127.0.0.1"))
        assert begun is not None, "the person was made a moment ago"
        return cls(services, scope, made.text, begun.token, begun.principal)

    def steps(self) -> Sequence[tuple[str, Callable[[], Awaitable[object]]]]:
        """Return the steps by name."""
        return (
            (KEY, lambda: self.services.authenticator._found(self._request(with_key=True))),
            (SESSION, lambda: self.services.sessions.find(self.session)),
            (LIMIT, lambda: self.services.authenticator._limiter.count(self.person, cost=1)),
            (PERMISSION, self._permission),
            (REFUSAL, self._refusal),
            (CHANGE, self._change),
        )

    async def request_with_key(self) -> Principal:
        """Do all that a route of REST does before its own work."""
        return await Require(Permission.RULES_READ)(self._request(with_key=True))

    async def request_with_session(self) -> Principal:
        """The same for a person."""
        return await Require(Permission.RULES_READ)(self._request(with_key=False))

    async def _permission(self) -> bool:
        return self.person.may(Permission.RULES_READ)

    async def _refusal(self) -> None:
        origin = origin_of(self._request(with_key=True).scope)
        self.services.decisions.note(
            Decision(action="permission.refused", reason="auth.forbidden", origin=origin)
        )

    async def _change(self) -> None:
        """One more statement in a transaction that is there anyway: its begin and end count too."""
        async with tenant_transaction(self.services.pool, self.scope) as connection:
            await record(connection, self.scope, "bench.changed", "bench:1")

    def _request(self, *, with_key: bool) -> Request:
        credential = (
            (b"x-api-key", self.key.encode())
            if with_key
            else (b"cookie", f"{SESSION_COOKIE}={self.session}".encode())
        )
        return Request(
            {
                "type": "http",
                "method": "GET",
                "path": "/api/v1/rules",
                "query_string": b"",
                "headers": [credential, (b"user-agent", b"betrace-bench")],
                "client": ("127.0.0.1", 1),
                "state": {"request_id": "bench"},
                "app": SimpleNamespace(state=SimpleNamespace(services=self.services)),
            }
        )


async def _timed(
    step: str, call: Callable[[], Awaitable[object]], calls: int, *, is_sum: bool = False
) -> StepTime:
    took_us = []
    for number in range(calls + _WARM_UP):
        begun_ns = time.perf_counter_ns()
        await call()
        if number >= _WARM_UP:
            took_us.append((time.perf_counter_ns() - begun_ns) // 1_000)
    took_us.sort()
    p50_us, p95_us = (took_us[math.ceil(share * calls) - 1] for share in (0.5, 0.95))
    return StepTime(step, p50_us, p95_us, is_sum=is_sum)
