"""What is done for every request beside what it asks for: credential, limits, permission, record.

    added = a request to the application - the same request, where nobody is asked who sends it

The two are sent in turns to the application in this process, on a real Postgres (and Redis if one
is set), so that whatever else the machine does falls on both. Times are those of the clock, since
most of it is waiting. What is added consists of parts, which are measured by themselves, too.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final

from fastapi import FastAPI
from starlette.types import Message

from api.audit.decisions import Decision
from api.audit.origin import Origin
from api.audit.trail import record
from api.auth.principal import Permission, Principal, TenantScope
from api.bench.overhead_callers import Caller, Callers, Introduced
from api.database import tenant_transaction
from api.main import create_app
from api.services import Services
from api.settings import Settings

TARGET_US: Final = 5_000
CREDENTIAL: Final = "credential: "
LIMIT: Final = "limits"
PERMISSION: Final = "permission"
REFUSAL: Final = "record of a refusal"
CHANGE: Final = "record of a change, in its transaction"
_PATH: Final = "/api/v1/rules"
"""A route with a permission, and one statement of its own."""
_WARM_UP: Final = 20

Step = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Spread:
    """How something is spread over calls, in microseconds."""

    p50_us: int
    p95_us: int
    p99_us: int

    @classmethod
    def of(cls, took_us: Iterable[int]) -> Spread:
        """Return the spread of some times, at least one."""
        ordered = sorted(took_us)
        return cls(*(ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.95, 0.99)))

    def beyond(self, other: Spread) -> Spread:
        """Return by how much each percentile is higher than the other's.

        Differences call by call would hold the noise of both: their 95th percentile tells more of
        the machine than of what was added.
        """
        return Spread(
            self.p50_us - other.p50_us, self.p95_us - other.p95_us, self.p99_us - other.p99_us
        )


@dataclass(frozen=True, slots=True)
class KindFigures:
    """Requests of one kind. bare: where nobody is asked who sends them."""

    kind: str
    whole: Spread
    bare: Spread

    @property
    def added(self) -> Spread:
        """What asking, limits and permission make of the difference."""
        return self.whole.beyond(self.bare)


@dataclass(frozen=True, slots=True)
class PartFigures:
    """One part of what is added."""

    part: str
    took: Spread


@dataclass(frozen=True, slots=True)
class OverheadFigures:
    """Requests by kind, then parts. calls: of each."""

    calls: int
    kinds: tuple[KindFigures, ...]
    parts: tuple[PartFigures, ...]
    target_us: int = TARGET_US

    @property
    def p95_us(self) -> int:
        """What is added to the dearest kind of request that changes something, which is recorded.

        The sum of two 95th percentiles, so rather too much than too little.
        """
        change = next(part.took.p95_us for part in self.parts if part.part == CHANGE)
        return change + max(kind.added.p95_us for kind in self.kinds)

    @property
    def within_target(self) -> bool:
        """Whether that stays below the target."""
        return self.p95_us < self.target_us

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            **asdict(self),
            "kinds": [{**asdict(kind), "added": asdict(kind.added)} for kind in self.kinds],
            "p95_us": self.p95_us,
            "within_target": self.within_target,
        }


async def measure_overhead(
    settings: Settings, scope: TenantScope, *, calls: int
) -> OverheadFigures:
    """Measure every kind and every part so many times, for a tenant that gets who is needed.

    Raises DatabaseUnavailable.
    """
    app = create_app(settings)
    async with AsyncExitStack() as until:
        await until.enter_async_context(app.router.lifespan_context(app))
        services: Services = app.state.services
        callers = await Callers.opened(services, scope, until=until)
        made = await callers.made()
        kinds = [await _in_pairs(app, caller, calls) for caller in made]
        parts = await _parts(services, callers, made, calls=calls)
        return OverheadFigures(calls, tuple(kinds), tuple(parts))


async def _in_pairs(app: FastAPI, caller: Caller, calls: int) -> KindFigures:
    services: Services = app.state.services
    asking = replace(services, authenticator=caller.authenticator)
    bare = replace(services, authenticator=Introduced(await _who(caller)))
    took: dict[bool, list[int]] = {True: [], False: []}
    for number in range(2 * (calls + _WARM_UP)):
        # a, b, b, a: whatever follows something dear is once the one and once the other
        is_asked = number % 4 in (0, 3)
        app.state.services = asking if is_asked else bare
        begun_ns = time.perf_counter_ns()
        await _get(app, caller.header)
        took[is_asked].append((time.perf_counter_ns() - begun_ns) // 1_000)
    app.state.services = services
    return KindFigures(
        caller.kind, Spread.of(took[True][_WARM_UP:]), Spread.of(took[False][_WARM_UP:])
    )


async def _get(app: FastAPI, header: tuple[bytes, bytes]) -> None:
    """Send a request to the application as a server would. Raises AssertionError if refused."""
    statuses = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(
        {
            "type": "http",
            "http_version": "1.1",
            "scheme": "http",
            "method": "GET",
            "path": _PATH,
            "raw_path": _PATH.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [header, (b"host", b"localhost"), (b"user-agent", b"betrace-bench")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        },
        receive,
        send,
    )
    assert statuses == [200], statuses


async def _parts(
    services: Services, callers: Callers, made: Sequence[Caller], *, calls: int
) -> list[PartFigures]:
    steps: list[tuple[str, Step]] = [
        *((f"{CREDENTIAL}{caller.kind}", caller.find) for caller in made),
        (LIMIT, partial(callers.limiter.count, await _who(made[0]), cost=1)),
        (PERMISSION, partial(_permission, await _who(made[0]))),
        (REFUSAL, partial(_refusal, services)),
    ]
    figures = [PartFigures(part, await _timed(step, calls)) for part, step in steps]
    return [*figures, PartFigures(CHANGE, await _change(services, callers.scope, calls))]


async def _timed(step: Step, calls: int) -> Spread:
    took_us = []
    for _ in range(calls + _WARM_UP):
        begun_ns = time.perf_counter_ns()
        await step()
        took_us.append((time.perf_counter_ns() - begun_ns) // 1_000)
    return Spread.of(took_us[_WARM_UP:])


async def _permission(principal: Principal) -> bool:
    return principal.may(Permission.RULES_READ)


async def _refusal(services: Services) -> None:
    decision = Decision(action="permission.refused", reason="auth.forbidden", origin=Origin())
    services.decisions.note(decision)


async def _change(services: Services, scope: TenantScope, calls: int) -> Spread:
    """The statement that a change has one more of; its transaction is there anyway."""
    took_us = []
    for _ in range(calls + _WARM_UP):
        async with tenant_transaction(services.pool, scope) as connection:
            begun_ns = time.perf_counter_ns()
            await record(connection, scope, "bench.changed", "bench:1")
            took_us.append((time.perf_counter_ns() - begun_ns) // 1_000)
    return Spread.of(took_us[_WARM_UP:])


async def _who(caller: Caller) -> Principal:
    principal = await caller.find()
    assert principal is not None, "the caller was made a moment ago"
    return principal
