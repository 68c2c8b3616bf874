"""Who is let in at `ingest`, who has to wait, and what is put on the record."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from api.auth.addresses import Address, parse_address
from api.auth.principal import GRANTS, ApiKeyPrincipal, Role, grant_scope
from api.ingest.allowance import Allowance
from api.ingest.credentials import Caller, KeysUnavailable, MayNotSend, Sender
from api.ingest.gate import Gate
from api.ingest.limits import IngestLimits
from api.ingest.refusals import Refusal, Refused
from api.limits.buckets import LocalBuckets
from api.limits.metrics import LimitMetrics
from api.limits.settings import TenantLimits
from api.limits.settled import SettledBuckets

TENANT = UUID("3f1f7a52-0d8c-4f0e-9d26-6f1f0c1f2a01")
HOME = parse_address("203.0.113.9")


def sender(key: int = 1, **limits: int) -> Sender:
    """A tenant's sender, with a key by number, and limits of the tenant's own."""
    return Sender(
        str(TENANT),
        ApiKeyPrincipal(
            UUID(int=key), "collector", Role.API_CLIENT, grant_scope(TENANT, actor="test"),
            GRANTS[Role.API_CLIENT], limits=TenantLimits(**limits),
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class TopicsOf:
    """Tenants that take spans by topics."""

    senders: dict[str, Sender]

    async def sender(self, tenant: str) -> Sender:
        if tenant == "postgres is away":
            raise KeysUnavailable
        if tenant not in self.senders:
            raise MayNotSend
        return self.senders[tenant]


@dataclass
class World:
    """A gate with a clock moved by hand; keys by what they stand for."""

    keys: dict[str, Sender]
    limits: IngestLimits
    topics: dict[str, Sender] = field(default_factory=dict)
    """By tenant: who may send by topics."""
    remembered: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    noted: list[tuple[Refusal, tuple[str, ...], Sender | None]] = field(default_factory=list)
    now_s: float = 0.0

    def __post_init__(self) -> None:
        metrics = LimitMetrics(CollectorRegistry())
        buckets = SettledBuckets(LocalBuckets(), None, metrics=metrics, clock=lambda: self.now_s)
        self.allowance = Allowance(self.limits, buckets)
        self.gate = Gate(self, self.allowance, self, tenants=TopicsOf(self.topics))

    def knows(self, key: str) -> bool:
        return key in self.remembered

    async def sender(self, key: str, *, address: Address | None) -> Sender | None:
        self.asked.append(key)
        if key == "viewer":
            raise MayNotSend
        return self.keys.get(key)

    def note(self, refused: Refused, caller: Caller, sender: Sender | None) -> None:
        self.noted.append((refused.kind, refused.policies, sender))

    async def let_in(self, key: str, address: Address | None = HOME) -> Sender | Refused:
        try:
            return await self.gate.let_in(Caller(address, "/v1/traces", api_key=key))
        except Refused as refused:
            return refused


MakeWorld = Callable[..., World]


@pytest.fixture
def make_world() -> MakeWorld:
    def make(keys: dict[str, Sender] | None = None, **limits: float) -> World:
        return World(keys or {"good": sender()}, IngestLimits.model_validate(limits))

    return make


async def test_a_request_larger_than_the_burst_is_let_in_and_the_average_holds(
    make_world: MakeWorld,
) -> None:
    world = make_world(tenant_spans_per_s=100, tenant_burst_s=2)
    assert await world.let_in("good") == world.keys["good"]
    world.allowance.charge(world.keys["good"], span_count=500, size_bytes=1)
    waits = []
    for world.now_s in (0, 3, 3.02):
        answer = await world.let_in("good")
        waits.append(answer.retry_after_s if isinstance(answer, Refused) else 0)
    assert waits == [pytest.approx(3.01), pytest.approx(0.01), 0]


async def test_a_tenants_own_limit_counts_in_place_of_the_installations(
    make_world: MakeWorld,
) -> None:
    world = make_world({"own": sender(spans_per_s=10), "other": sender(2)}, tenant_burst_s=1)
    world.allowance.charge(world.keys["own"], span_count=30, size_bytes=1)
    refused = await world.let_in("own")
    assert isinstance(refused, Refused)
    assert (refused.kind, refused.policies) == (Refusal.RATE_LIMITED, ("spans",))
    assert math.ceil(refused.retry_after_s or 0) == 3
    assert refused.headers["RateLimit-Policy"].startswith('"spans";q=10;w=1, "span-bytes";q=')
    assert refused.headers["RateLimit"].startswith('"spans";r=0;t=3')


async def test_one_key_over_its_limit_does_not_hold_up_the_others_of_its_tenant(
    make_world: MakeWorld,
) -> None:
    world = make_world({"one": sender(1), "two": sender(2)}, key_spans_per_s=10, tenant_burst_s=1)
    world.allowance.charge(world.keys["one"], span_count=20, size_bytes=1)
    refused = await world.let_in("one")
    assert isinstance(refused, Refused)
    assert refused.policies == ("key-spans",)
    assert await world.let_in("two") == world.keys["two"]


async def test_made_up_keys_from_one_address_soon_cost_no_question(make_world: MakeWorld) -> None:
    world = make_world(address_refusals_per_min=5)
    kinds = []
    for number in range(8):
        answer = await world.let_in(f"made-up-{number}")
        assert isinstance(answer, Refused)
        kinds.append(answer.kind)
    assert kinds == [Refusal.UNAUTHENTICATED] * 5 + [Refusal.RATE_LIMITED] * 3
    assert len(world.asked) == 5
    assert await world.let_in("good", parse_address("203.0.113.10")) == world.keys["good"]
    world.remembered.add("good")
    assert await world.let_in("good") == world.keys["good"]  # its neighbours do not hold it up


async def test_refusals_of_access_and_limits_are_put_on_the_record_and_outages_are_not(
    make_world: MakeWorld,
) -> None:
    world = make_world(tenant_spans_per_s=1, tenant_burst_s=1)
    good = world.keys["good"]
    world.allowance.charge(good, span_count=5, size_bytes=1)
    for key in ("", "wrong", "viewer", "good"):
        await world.let_in(key)
    assert world.noted == [
        (Refusal.UNAUTHENTICATED, (), None),
        (Refusal.UNAUTHENTICATED, (), None),
        (Refusal.FORBIDDEN, (), None),
        (Refusal.RATE_LIMITED, ("spans",), good),
    ]


async def test_who_sends_by_a_topic_is_let_in_by_tenant_and_has_its_limits(
    make_world: MakeWorld,
) -> None:
    own = Sender(str(TENANT), own_limits=TenantLimits(spans_per_s=10))
    world = make_world(tenant_burst_s=1)
    world.topics["good"] = own
    refused = {}
    for tenant in ("good", "suspended", "postgres is away"):
        try:
            assert await world.gate.let_in_from_topic(tenant, topic="raw") == own
        except Refused as error:
            refused[tenant] = (error.kind, error.retry_after_s is not None)
    assert refused == {
        "suspended": (Refusal.FORBIDDEN, False),
        "postgres is away": (Refusal.UNAVAILABLE, True),
    }
    assert world.noted == [(Refusal.FORBIDDEN, (), None)]


async def test_a_topic_over_its_rate_waits_and_is_no_matter_of_record(
    make_world: MakeWorld,
) -> None:
    own = Sender(str(TENANT), own_limits=TenantLimits(spans_per_s=10))
    world = make_world(tenant_burst_s=1)
    world.topics["good"] = own
    world.allowance.charge(own, span_count=30, size_bytes=1)
    with pytest.raises(Refused) as refused:
        await world.gate.let_in_from_topic("good", topic="raw")
    assert (refused.value.kind, refused.value.policies) == (Refusal.RATE_LIMITED, ("spans",))
    assert world.noted == []
