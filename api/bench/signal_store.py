"""Very many signals of one tenant in a database that can be thrown away, as the worker writes them.

What they are like is made up and always the same: ninety days, fifty rules of which few raise most,
twenty-four services, two thousand groups, most signals resolved long ago.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

DAYS: Final = 90
RULES: Final = 50
SERVICES: Final = 24
GROUPS: Final = 2_000
PEOPLE: Final = 8
_BATCH: Final = 2_000
"""As the worker's batches."""
_TAGS: Final = ("pii", "money", "latency", "audit", "security", "deploy")
_SEVERITIES: Final = ("critical", "high", "medium", "low", "info")
_COLUMNS: Final = (
    "tenant_id",
    "id",
    "revision",
    "rule_id",
    "rule_version",
    "rule_name",
    "severity",
    "controls",
    "tags",
    "verdict",
    "broken_clause",
    "trace_id",
    "root_name",
    "root_service",
    "services",
    "span_count",
    "first_span_at",
    "last_span_at",
    "closed_at",
    "judged_at",
    "occurred_at",
    "log_partition",
    "log_first_offset",
    "log_last_offset",
    "status",
    "status_reason",
    "resolved_at",
    "assignee_id",
    "group_fingerprint",
    "group_values",
    "trace_state",
)


@dataclass(frozen=True, slots=True)
class Store:
    """What was filled. people: addresses of members. filled_s, settled_s: how long it took."""

    tenant: UUID
    signals: int
    people: tuple[str, ...]
    newest: datetime
    filled_s: float
    settled_s: float
    bytes: int


@dataclass(frozen=True, slots=True)
class _Kinds:
    """How often each rule raises, as running sums of weights."""

    rules: list[float]
    groups: list[float]


def rule_id(number: int) -> str:
    """Return the id of a rule; rule 0 raises most."""
    return f"rule-{number:02d}"


def service(number: int) -> str:
    """Return the name of a service; the first ones are in most traces."""
    return f"service-{number:02d}"


def make_tenant(admin_dsn: str) -> tuple[UUID, tuple[UUID, ...], tuple[str, ...]]:
    """Make a tenant with members and rules; return its id, theirs, and their addresses."""
    tenant = uuid4()
    people = tuple(uuid4() for _ in range(PEOPLE))
    emails = tuple(f"person-{number}@{tenant}.example" for number in range(PEOPLE))
    with psycopg.connect(admin_dsn) as connection:
        _name(connection, tenant)
        connection.execute(
            "insert into tenants (id, name, settings) values (%s, %s, '{}')",
            [tenant, f"bench-{tenant}"],
        )
        for user_id, email in zip(people, emails, strict=True):
            connection.execute("select set_config('app.user_id', %s, true)", [str(user_id)])
            connection.execute(
                "insert into users (id, email, name, password_hash) values (%s, %s, '', '')",
                [user_id, email],
            )
            connection.execute(
                "insert into memberships (tenant_id, user_id, role) values (%s, %s, 'sre')",
                [tenant, user_id],
            )
        for number in range(RULES):
            text = "when { a } never { b }"
            connection.execute(
                "insert into rules (tenant_id, id, state, current_version)"
                " values (%s, %s, 'active', 1)",
                [tenant, rule_id(number)],
            )
            connection.execute(
                "insert into rule_versions (tenant_id, rule_id, version, state, object, text,"
                " canonical, language, deleted, author)"
                " values (%s, %s, 1, 'active', %s, %s, %s, 1, false, 'bench')",
                [tenant, rule_id(number), Jsonb({"id": rule_id(number)}), text, text],
            )
    return tenant, people, emails


def rows(tenant: UUID, people: tuple[UUID, ...], *, count: int, newest: datetime) -> Iterator[Any]:
    """Yield so many signals, oldest first, in the order of the columns."""
    chance = Random(1)
    kinds = _Kinds(
        list(accumulate(1 / (number + 1) for number in range(RULES))),
        list(accumulate(1 / (number + 1) ** 0.7 for number in range(GROUPS // RULES))),
    )
    step = timedelta(days=DAYS) / count
    for number in range(count):
        at = newest - step * (count - 1 - number)
        yield _row(chance, tenant, people, kinds, at=at, number=number, old=newest - at)


def fill(
    connection: psycopg.Connection[Any],
    rows_: Iterator[Any],
    *,
    batch: int = _BATCH,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Write rows of signals in transactions of a batch each. progress: told after each.

    connection: of the worker's role, which commits by itself; inside a transaction all is in that.
    """
    columns = ", ".join(_COLUMNS)
    # COPY does not go with row-level security, hence the temporary table.
    connection.execute(
        f"create temporary table if not exists filled as select {columns} from signals"
        " with no data".encode()
    )
    copy_in = f"copy filled ({columns}) from stdin".encode()
    store = f"insert into signals ({columns}) select {columns} from filled".encode()
    done = 0
    while some := list(itertools.islice(rows_, batch)):
        with connection.transaction():
            with connection.cursor().copy(copy_in) as copy:
                for row in some:
                    copy.write_row(row)
            connection.execute(store)
            connection.execute("truncate filled")
        done += len(some)
        progress(done)


def _row(
    chance: Random,
    tenant: UUID,
    people: tuple[UUID, ...],
    kinds: _Kinds,
    *,
    at: datetime,
    number: int,
    old: timedelta,
) -> tuple[Any, ...]:
    rule = _pick(chance, kinds.rules)
    group = _pick(chance, kinds.groups)
    root = (rule * 7 + group % 3) % SERVICES
    services = sorted({root, *(int(chance.random() ** 2 * SERVICES) for _ in range(2))})
    status = _status(chance, old)
    resolved = at + timedelta(seconds=chance.expovariate(1 / 7_200)) if _closed(status) else None
    assigned = status != "open" and chance.random() < 0.6
    return (
        tenant,
        chance.randbytes(16),
        number,
        rule_id(rule),
        1,
        f"Promise number {rule}",
        _SEVERITIES[(rule * 3) % 5 if rule % 4 else 2],
        ["soc2.CC7.2"],
        [_TAGS[rule % 6], _TAGS[(rule + 2) % 6]],
        "violated",
        "never",
        chance.randbytes(16),
        f"POST /route-{group}",
        service(root),
        [service(each) for each in services],
        17,
        at - timedelta(seconds=9),
        at - timedelta(seconds=5),
        at,
        at,
        at,
        rule % 32,
        number,
        number + 1,
        status,
        "done" if _closed(status) else None,
        resolved,
        people[chance.randrange(len(people))] if assigned else None,
        (rule * 1_000 + group).to_bytes(16, "big"),
        f'{{"customer": "customer-{group}"}}',
        "copied",
    )


def _pick(chance: Random, sums: list[float]) -> int:
    return bisect.bisect(sums, chance.random() * sums[-1])


def _status(chance: Random, old: timedelta) -> str:
    """Most of what is old is done."""
    waiting = 0.5 if old < timedelta(days=1) else 0.02
    drawn = chance.random()
    if drawn < waiting:
        return "open" if drawn < waiting * 0.8 else "investigating"
    return "false_positive" if chance.random() < 0.07 else "resolved"


def _closed(status: str) -> bool:
    return status in ("resolved", "false_positive")


def _name(connection: psycopg.Connection, tenant: UUID) -> None:
    connection.execute("select set_config('app.tenant_id', %s, true)", [str(tenant)])


def now() -> datetime:
    """Return the time of the newest signal: this minute."""
    return datetime.now(UTC).replace(microsecond=0)
