"""The console on a real Postgres, with rows as the worker would have written them.

Kafka stands behind only two things the console does, saving a rule and asking for a backtest: the
rules log is kept in memory here, and how far the spans log reaches is made up. The whole way
through real servers is tests/e2e/whole/test_otlp_to_page.py.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg
import uvicorn
from fastapi import FastAPI
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from api.auth.principal import Role, TenantScope, grant_scope
from api.database import open_pool
from api.main import create_app
from api.rules.definitions import Form, read_definition
from api.rules.log import Appended
from api.rules.outbox import Publisher
from api.rules.quarantine import quarantine_found
from api.rules.service import save_rule
from api.settings import Settings
from api.tenants.service import create_tenant, create_user
from api.tenants.settings import TenantSettings
from tests.support.kafka import free_port
from tests.support.log_times import FakeLogTimes
from tests.support.postgres import Database

T = TypeVar("T")
SECRET = "console tests have a pepper of their own, long enough"
PASSWORD = "correct horse battery"
SPAN_NS = 1_000_000
"""One millisecond."""


class MemoryRulesLog:
    """A rules log that keeps its records."""

    def __init__(self) -> None:
        self.records: list[bytes] = []

    def append(self, record: bytes) -> Appended:
        """Take a record, as a broker would: at once."""
        self.records.append(record)
        return Appended(len(self.records) - 1, datetime.now(UTC))


@dataclass(frozen=True, kw_only=True)
class SpanRow:
    """A stored span; times in milliseconds from the trace's start."""

    id: str
    name: str
    parent: str = ""
    service: str = "shop"
    kind: str = "internal"
    status: str = "unset"
    status_message: str = ""
    start_ms: int = 0
    end_ms: int = 1
    attributes: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[Mapping[str, Any]] = ()


CHECKOUT = (
    SpanRow(
        id="01",
        name="POST /checkout",
        kind="server",
        end_ms=412,
        attributes={"http.request.method": "POST", "http.route": "/checkout"},
    ),
    SpanRow(id="02", parent="01", name="cart.load", start_ms=3, end_ms=41),
    SpanRow(
        id="03",
        parent="02",
        name="db.query",
        service="postgres",
        kind="client",
        start_ms=8,
        end_ms=36,
        attributes={"db.query.text": "select sku, quantity from cart_items where cart_id = $1"},
    ),
    SpanRow(
        id="04", parent="01", name="payment.authorize", service="payments", start_ms=48, end_ms=340
    ),
    SpanRow(
        id="05",
        parent="04",
        name="fraud.check",
        service="risk",
        start_ms=60,
        end_ms=131,
        attributes={"score": 0.12, "skipped": True},
    ),
    SpanRow(
        id="06",
        parent="04",
        name="payment.charge",
        service="payments",
        start_ms=140,
        end_ms=318,
        attributes={"amount": 2400, "currency": "USD", "customer.tier": "gold"},
    ),
    SpanRow(
        id="07",
        parent="06",
        name="POST /v1/charges",
        service="gateway",
        kind="client",
        status="error",
        status_message="card declined, tried again",
        start_ms=152,
        end_ms=310,
        events=(
            {
                "name": "exception",
                "time_ns": 306 * SPAN_NS,
                "attributes": {"exception.type": "CardDeclined"},
            },
        ),
    ),
    SpanRow(id="08", parent="01", name="order.place", start_ms=344, end_ms=402),
    SpanRow(
        id="09",
        parent="08",
        name="db.query",
        service="postgres",
        kind="client",
        start_ms=350,
        end_ms=366,
    ),
    SpanRow(id="0a", parent="08", name="queue.publish", kind="producer", start_ms=370, end_ms=371),
)
"""A checkout whose fraud check was skipped."""

KEPT_CHECKOUT = (
    *(
        replace(span, attributes={"skipped": False}) if span.name == "fraud.check" else span
        for span in CHECKOUT
    ),
    SpanRow(id="0b", parent="05", name="model.score", service="risk", start_ms=70, end_ms=96),
)
"""A checkout that kept the promise, with one span more below its fraud check."""

CHECKOUT_RULE = """\
when   { payment.charge.where(amount > 1000) }
always { fraud.check.where(skipped == false) }
never  { payment.bypass }
"""

EXPLANATION: Mapping[str, Any] = {
    "verdict": "violated",
    "reasons": [],
    "clauses": [
        {
            "clause": "when",
            "state": "true",
            "text": "payment.charge.where(amount > 1000)",
            "conditions": [
                {
                    "text": "payment.charge.where(amount > 1000)",
                    "line": 1,
                    "column": 10,
                    "state": "true",
                    "spans": [
                        {
                            "span_id": "0000000000000006",
                            "name": "payment.charge",
                            "values": {"amount": 2400},
                        }
                    ],
                    "nearest_miss": None,
                }
            ],
        },
        {
            "clause": "always",
            "state": "false",
            "text": "fraud.check.where(skipped == false)",
            "conditions": [
                {
                    "text": "fraud.check.where(skipped == false)",
                    "line": 2,
                    "column": 10,
                    "state": "false",
                    "spans": [],
                    "nearest_miss": {
                        "span_id": "0000000000000005",
                        "name": "fraud.check",
                        "failed": ["skipped == false: skipped is true"],
                    },
                }
            ],
        },
        {
            "clause": "never",
            "state": "false",
            "text": "payment.bypass",
            "conditions": [
                {
                    "text": "payment.bypass",
                    "line": 3,
                    "column": 10,
                    "state": "false",
                    "spans": [],
                    "nearest_miss": None,
                }
            ],
        },
    ],
}


@dataclass(frozen=True, slots=True)
class Console:
    """A running console and the tenant that tests look at."""

    url: str
    database: Database
    scope: TenantScope
    rules_log: MemoryRulesLog
    log_times: FakeLogTimes
    app: FastAPI

    @property
    def tenant_id(self) -> UUID:
        """The tenant of every person and row."""
        return self.scope.tenant_id

    def add_person(self, email: str, role: Role) -> None:
        """Make somebody who signs in with PASSWORD."""

        async def add() -> None:
            async with open_pool(self.database.app, size=1) as pool:
                await create_user(
                    pool,
                    self.scope,
                    email=email,
                    name=email.partition("@")[0].title(),
                    role=role,
                    password=PASSWORD,
                )

        run_apart(add())

    def add_person_elsewhere(self, email: str) -> None:
        """Make somebody who signs in with PASSWORD and belongs to another tenant."""

        async def add() -> None:
            async with open_pool(self.database.app, size=1) as pool:
                other = await create_tenant(
                    pool, f"other-{uuid4()}", TenantSettings(), grant=_grant
                )
                await create_user(
                    pool,
                    _grant(other.id),
                    email=email,
                    name=email.partition("@")[0].title(),
                    role=Role.VIEWER,
                    password=PASSWORD,
                )

        run_apart(add())

    def add_rule(self, rule_id: str, text: str = CHECKOUT_RULE, **fields: Any) -> None:
        """Save a rule as the API does."""
        definition = read_definition(
            json.dumps({"id": rule_id, "rule": text, **fields}), form=Form.JSON
        )

        async def add() -> None:
            async with open_pool(self.database.app, size=1) as pool:
                publisher = Publisher(pool, self.rules_log)
                await save_rule(pool, publisher, self.scope, definition)

        run_apart(add())

    def quarantine(self, rule_id: str) -> None:
        """Find the first version of a rule over its budget, and act upon it."""
        figures = {
            "over_budget": 1_412,
            "judged": 2_980,
            "minutes": 4,
            "since": "2026-11-23T12:00:00+00:00",
            "until": "2026-11-23T12:06:00+00:00",
        }
        with psycopg.connect(self.database.worker) as connection:
            connection.execute(
                "insert into notices (tenant_id, kind, rule_id, rule_version, figures)"
                " values (%s, 'over_budget', %s, 1, %s)",
                [self.tenant_id, rule_id, Jsonb(figures)],
            )

        async def act() -> None:
            async with open_pool(self.database.app, size=1) as pool:
                await quarantine_found(pool, Publisher(pool, self.rules_log))

        run_apart(act())

    def add_trace(self, trace_id: str, spans: Sequence[SpanRow], *, at: datetime) -> None:
        """Store the copy of a trace that began at a time."""
        start_ns = int(at.timestamp()) * 1_000_000_000
        with psycopg.connect(self.database.worker) as connection:
            connection.execute(
                "insert into trace_copies (tenant_id, trace_id, root_name, root_service, services,"
                " span_count, whole, first_span_at, last_span_at, log_partition,"
                " log_first_offset, log_last_offset)"
                " values (%s, %s, %s, %s, %s, %s, true, %s, %s, 0, 0, 0)",
                [
                    self.tenant_id,
                    bytes.fromhex(trace_id),
                    spans[0].name,
                    spans[0].service,
                    sorted({span.service for span in spans}),
                    len(spans),
                    at,
                    at + timedelta(milliseconds=max(span.end_ms for span in spans)),
                ],
            )
            for ordinal, span in enumerate(spans):
                connection.execute(
                    "insert into trace_spans (tenant_id, trace_id, ordinal, span_id,"
                    " parent_span_id, name, service, kind, status, status_message, start_ns,"
                    " end_ns, attributes, resource, events)"
                    " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                    [
                        self.tenant_id,
                        bytes.fromhex(trace_id),
                        ordinal,
                        bytes.fromhex(span.id.zfill(16)),
                        bytes.fromhex(span.parent.zfill(16)) if span.parent else None,
                        span.name,
                        span.service,
                        span.kind,
                        span.status,
                        span.status_message,
                        start_ns + span.start_ms * SPAN_NS,
                        start_ns + span.end_ms * SPAN_NS,
                        Jsonb(dict(span.attributes)),
                        Jsonb({"service.name": span.service}),
                        Jsonb(
                            [
                                {**event, "time_ns": start_ns + event["time_ns"]}
                                for event in span.events
                            ]
                        ),
                    ],
                )
            connection.execute(
                "select index_trace(%s, %s)", [self.tenant_id, bytes.fromhex(trace_id)]
            )

    def add_fold(
        self,
        rule_id: str,
        *,
        rule_name: str,
        minute: datetime,
        raised: int,
        withdrawn: int = 0,
        examples: Sequence[str] = (),
    ) -> None:
        """Store what was folded of a rule's first version in one lane and minute."""
        with psycopg.connect(self.database.worker) as connection:
            connection.execute(
                "insert into signal_folds (tenant_id, rule_id, rule_version, minute, lane,"
                " revision, rule_name, severity, raised, renewed, withdrawn, first_at, last_at,"
                " example_trace_ids)"
                " values (%s, %s, 1, %s, 0, 1, %s, 'high', %s, 0, %s, %s, %s, %s)",
                [
                    self.tenant_id,
                    rule_id,
                    minute,
                    rule_name,
                    raised,
                    withdrawn,
                    minute + timedelta(seconds=2),
                    minute + timedelta(seconds=58),
                    [bytes.fromhex(trace_id) for trace_id in examples],
                ],
            )

    def add_signal(
        self,
        rule_id: str,
        *,
        rule_name: str = "",
        severity: str = "high",
        at: datetime | None = None,
        trace_id: str | None = None,
        explanation: Mapping[str, Any] | None = None,
        root: tuple[str, str] = ("POST /checkout", "shop"),
        broken_clause: str = "always",
        incomplete: bool = False,
        many: Mapping[str, Any] | None = None,
        shadow: bool = False,
        exception: Mapping[str, str] | None = None,
        signal_id: str = "",
        group_fingerprint: bytes | None = None,
        group_values: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
    ) -> str:
        """Store a signal of a rule's first version; return its id.

        many: what a rule over many traces saw; it has no trace then. exception: what silences it.
        """
        signal_id = signal_id or uuid4().hex
        happened = at or datetime.now(UTC)
        with psycopg.connect(self.database.worker) as connection:
            connection.execute(
                "insert into signals (tenant_id, id, revision, rule_id, rule_version, rule_name,"
                " severity, verdict, broken_clause, incomplete, trace_id, root_name,"
                " root_service, services, span_count, first_span_at, last_span_at, closed_at,"
                " judged_at, occurred_at, log_partition, log_first_offset, log_last_offset,"
                " explanation, explained_revision, trace_state, many, shadow, exception,"
                " group_fingerprint, group_values, tags)"
                " values (%(tenant)s, %(id)s, 1, %(rule)s, 1, %(name)s, %(severity)s, 'violated',"
                " %(broken)s, %(incomplete)s, %(trace)s, %(root_name)s, %(root_service)s,"
                " %(services)s, 10, %(at)s, %(at)s, %(at)s, %(at)s, %(at)s, 0, 0, 0,"
                " %(explanation)s, %(explained)s, %(state)s, %(many)s, %(shadow)s, %(exception)s,"
                " %(group)s, %(group_values)s, %(tags)s)",
                {
                    "tenant": self.tenant_id,
                    "group": group_fingerprint,
                    "group_values": Jsonb(dict(group_values or {})),
                    "tags": list(tags),
                    "id": bytes.fromhex(signal_id),
                    "rule": rule_id,
                    "name": rule_name or rule_id,
                    "severity": severity,
                    "broken": broken_clause,
                    "incomplete": incomplete,
                    "trace": None if many else bytes.fromhex(trace_id or uuid4().hex),
                    "root_name": "" if many else root[0],
                    "root_service": "" if many else root[1],
                    "services": [] if many else [root[1]],
                    "many": Jsonb(many) if many else None,
                    "shadow": shadow,
                    "exception": Jsonb(exception) if exception else None,
                    "at": happened,
                    "explanation": Jsonb(explanation) if explanation else None,
                    "explained": 1 if explanation else None,
                    "state": "copied" if explanation else "waiting",
                },
            )
        return signal_id


@contextmanager
def running_console(database: Database, **changes: Any) -> Iterator[Console]:
    """Serve the application on a free port, in a thread, with one empty tenant.

    changes: of its settings.
    """
    rules_log = MemoryRulesLog()
    port = changes.pop("http_port", None) or free_port()
    settings = Settings(
        database_url=SecretStr(database.app),
        secret_key=SecretStr(SECRET),
        http_port=port,
        **changes,
    )
    scope = run_apart(_make_tenant(database))
    app = create_app(settings, rules_log=rules_log)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
    )
    thread = threading.Thread(target=server.run, name="console")
    thread.start()
    try:
        _wait_until_up(server, thread)
        log_times = FakeLogTimes()
        app.state.services = replace(app.state.services, log_times=log_times)
        yield Console(f"http://127.0.0.1:{port}", database, scope, rules_log, log_times, app)
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join()


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread: Playwright keeps a loop running in the one that tests are in."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def _grant(tenant_id: UUID) -> TenantScope:
    return grant_scope(tenant_id, actor="tests")


async def _make_tenant(database: Database) -> TenantScope:
    async with open_pool(database.app, size=1) as pool:
        tenant = await create_tenant(pool, uuid4().hex, TenantSettings(), grant=_grant)
    return _grant(tenant.id)


def _wait_until_up(server: uvicorn.Server, thread: threading.Thread) -> None:
    polls = threading.Event()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the console did not start")
        polls.wait(0.02)
