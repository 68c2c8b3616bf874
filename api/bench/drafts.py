"""Traces as the generator thinks of them, before they are bytes.

A draft holds what a span says; ids and absolute times come later, when a chunk of drafts is
stamped. The catalogue is a small shop: what its services do, and the attributes they send when
nothing is the matter ("neutral" values, which no rule of the mix asks for).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from random import Random

Value = str | bool | int | float


class Outcome(Enum):
    """What was planted for one rule in one trace."""

    KEPT = "kept"  # the spans that `always` asks for are there
    KEPT_BY_ABSENCE = "kept by absence"  # no span that `never` forbids is there
    BROKEN_BY_ABSENCE = "broken by absence"  # a span that `always` asks for is missing
    BROKEN_BY_PRESENCE = "broken by presence"  # a span that `never` forbids is there

    def verdict(self, *, complete: bool) -> str:
        """Return the final verdict; complete: the trace's root came, so absence is known."""
        match self:
            case Outcome.BROKEN_BY_PRESENCE:
                return "violated"
            case Outcome.KEPT:
                return "satisfied"
            case Outcome.BROKEN_BY_ABSENCE:
                return "violated" if complete else "inconclusive"
            case Outcome.KEPT_BY_ABSENCE:
                return "satisfied" if complete else "inconclusive"


class Kind(Enum):
    """OTLP span kinds with their numbers on the wire (trace.proto, SpanKind)."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


@dataclass(frozen=True, slots=True)
class Operation:
    """Something a service does, and the attributes that a span of it carries."""

    name: str
    service: str
    kind: Kind
    neutral: Callable[[Random], dict[str, Value]]
    weight: int = 2


@dataclass(slots=True)
class SpanDraft:
    """A span to be: parent is the index of another draft of the trace, None for the root.

    start_ns and end_ns count from the beginning of the trace. `lost` spans are never sent, so
    that their children are orphans.
    """

    operation: Operation
    parent: int | None
    start_ns: int
    end_ns: int
    attributes: dict[str, Value]
    error: bool = False
    planted: bool = False
    lost: bool = False


@dataclass(slots=True)
class TraceDraft:
    """A trace to be, with what was planted in it: number of the rule → outcome."""

    rng: Random
    spans: list[SpanDraft] = field(default_factory=list)
    planted: dict[int, Outcome] = field(default_factory=dict)

    @property
    def has_root(self) -> bool:
        """Tell whether the root is sent."""
        return not self.spans[0].lost

    def add(self, operation: Operation, *, planted: bool = False) -> SpanDraft:
        """Append a neutral span of the operation below a random span, or as the root."""
        rng = self.rng
        parent = int(len(self.spans) * rng.random() ** 2) if self.spans else None
        start_ns = 0 if parent is None else self.spans[parent].start_ns + rng.randrange(2_000_000)
        span = SpanDraft(
            operation,
            parent,
            start_ns,
            start_ns + rng.randrange(50_000, 90_000_000),
            operation.neutral(rng),
            planted=planted,
        )
        self.spans.append(span)
        return span

    def carry(self, name: str, **attributes: Value) -> SpanDraft:
        """Plant attributes on a neutral span of that name, added if none is free.

        Keyword names spell dotted keys with double underscores: order__region is order.region.
        """
        free = [s for s in self.spans[1:] if s.operation.name == name and not s.planted]
        span = free[0] if free else self.add(OPERATIONS[name], planted=True)
        span.planted = True
        span.attributes.update({k.replace("__", "."): v for k, v in attributes.items()})
        return span

    def rename(self, name: str, new_name: str) -> None:
        """Make spans of one name spans of another operation, so that the first is absent."""
        for span in self.spans:
            if span.operation.name == name:
                span.operation = OPERATIONS[new_name]

    def place_of(self, span: SpanDraft) -> int:
        """Return the index of this very span, as `parent` counts."""
        return next(index for index, each in enumerate(self.spans) if each is span)

    def sent(self) -> Iterable[SpanDraft]:
        """Return the spans that are sent."""
        return (span for span in self.spans if not span.lost)


def _pick(rng: Random, prefix: str, count: int) -> str:
    return f"{prefix}{int(rng.random() * count)}"


def _who(rng: Random) -> dict[str, Value]:
    return {
        "user.id": _pick(rng, "u", 400),
        "customer.tier": "gold" if rng.random() < 0.3 else "silver",
        "thread.id": int(rng.random() * 64),
        "code.function.name": _pick(rng, "handle_", 40),
    }


def _http(rng: Random) -> dict[str, Value]:
    chance = rng.random()
    return {
        **_who(rng),
        "http.request.method": "GET" if chance < 0.6 else "POST",
        "http.route": _pick(rng, "/api/v2/resource-", 30),
        "http.response.status_code": 200 if chance < 0.9 else 404 if chance < 0.97 else 500,
        "server.address": _pick(rng, "10.0.3.", 30),
        "client.address": _pick(rng, "192.0.2.", 200),
        "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64)",
    }


def _call(rng: Random) -> dict[str, Value]:
    return {
        **_who(rng),
        "http.request.method": "POST",
        "http.response.status_code": 200 if rng.random() < 0.97 else 503,
        "peer.service": _pick(rng, "upstream-", 6),
        "server.address": _pick(rng, "10.0.4.", 30),
        "network.protocol.version": "1.1",
        "url.full": _pick(rng, "http://upstream.internal/v1/items/", 60),
    }


def _database(rng: Random) -> dict[str, Value]:
    return {
        **_who(rng),
        "db.system.name": "postgresql",
        "db.collection.name": _pick(rng, "table_", 20),
        "db.operation.name": "SELECT" if rng.random() < 0.7 else "UPDATE",
        "db.query.text": _pick(rng, "select a, b, c from t where id = $1 -- ", 20),
        "contains_pii": False,
        "server.address": _pick(rng, "10.0.5.", 4),
    }


def _work(rng: Random) -> dict[str, Value]:
    return {
        **_who(rng),
        "work.queue": _pick(rng, "queue-", 8),
        "work.items": int(rng.random() * 50),
        "work.ratio": int(rng.random() * 64) / 64,
        "feature.flag": rng.random() < 0.5,
        "cache.hit": rng.random() < 0.8,
        "region": "eu-west-1" if rng.random() < 0.5 else "us-east-1",
    }


def _with(
    base: Callable[[Random], dict[str, Value]], **extra: Value
) -> Callable[[Random], dict[str, Value]]:
    named = {k.replace("__", "."): v for k, v in extra.items()}

    def neutral(rng: Random) -> dict[str, Value]:
        values = base(rng)
        values.update(named)
        return values

    return neutral


def _payment(rng: Random) -> dict[str, Value]:
    return {
        **_work(rng),
        "payment.amount": int(rng.random() * 8_000) / 8,
        "payment.currency": "EUR",
    }


_CATALOGUE = (
    # Names that the rule mix asks for.
    Operation("db.query", "orders-db", Kind.CLIENT, _database, 6),
    Operation("audit.log", "audit", Kind.INTERNAL, _with(_work, audit__object="none")),
    Operation("payment.charge", "payment", Kind.SERVER, _payment),
    Operation("fraud.check", "fraud", Kind.SERVER, _with(_work, fraud__score=3), 1),
    Operation("order.place", "checkout", Kind.SERVER, _with(_work, order__region="eu")),
    Operation("payment.bypass", "payment", Kind.INTERNAL, _with(_work, order__region="none"), 1),
    Operation("login.attempt", "auth", Kind.SERVER, _with(_work, realm="web", success=True)),
    Operation("http.call", "checkout", Kind.CLIENT, _call, 4),
    Operation("http.retry", "checkout", Kind.CLIENT, _call, 1),
    Operation("file.read", "files", Kind.INTERNAL, _with(_work, file__path="/srv/public/a.txt")),
    Operation("access.grant", "auth", Kind.INTERNAL, _with(_work, file__path="/srv/public/b.txt")),
    Operation("GET /orders/{id}", "frontend", Kind.SERVER, _http),
    Operation("incident.note", "audit", Kind.INTERNAL, _with(_work, incident__code=0), 1),
    # Names that no rule asks for.
    Operation("GET /", "frontend", Kind.SERVER, _http, 3),
    Operation("GET /cart", "frontend", Kind.SERVER, _http, 3),
    Operation("POST /checkout", "frontend", Kind.SERVER, _http, 2),
    Operation("GET /search", "frontend", Kind.SERVER, _http, 3),
    Operation("cart.load", "checkout", Kind.INTERNAL, _work, 3),
    Operation("price.compute", "checkout", Kind.INTERNAL, _work, 3),
    Operation("session.load", "auth", Kind.INTERNAL, _work, 3),
    Operation("token.verify", "auth", Kind.INTERNAL, _work, 3),
    Operation("cache.get", "orders-db", Kind.CLIENT, _database, 5),
    Operation("stock.reserve", "stock", Kind.SERVER, _work, 2),
    Operation("shipping.quote", "stock", Kind.SERVER, _work, 2),
    Operation("mail.send", "mail", Kind.PRODUCER, _work, 1),
    Operation("mail.deliver", "mail", Kind.CONSUMER, _work, 1),
    Operation("fraud.lookup", "fraud", Kind.INTERNAL, _work, 1),
    Operation("template.render", "frontend", Kind.INTERNAL, _work, 3),
)

OPERATIONS = {operation.name: operation for operation in _CATALOGUE}
"""Everything that spans of the load are about, by span name."""

ENTRANCES = tuple(OPERATIONS[n] for n in ("GET /", "GET /cart", "POST /checkout", "GET /search"))
"""What a trace begins with: none of them is named by a rule, so a root never carries a plant."""
