"""What people ask of much evidence: the matrix, lists, words, and verifying; at the API's services.

A log of a year is sealed by the sequencer, as it would be: three in five records are compliance
spans of 20 services, the others verdicts, coverage by the hour and acts, over eight controls of
three frameworks; a few of them fail. Then each question is asked again and again, one at a time,
through the services and in the role of the application: what a request costs beside (credential,
limits, JSON, a page) is in none of the figures.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from prometheus_client import CollectorRegistry
from psycopg.rows import dict_row

from api.auth.principal import TenantScope
from api.bench.sealing import bench_keys
from api.database import Pool, open_pool
from api.evidence.checkpointing import create_log, sign_head
from api.evidence.matrix import read_control, read_matrix
from api.evidence.model import Offer
from api.evidence.offering import offer
from api.evidence.quiet import read_quiet
from api.evidence.sealing import sealer_of
from api.evidence.search import DAY_MS, EvidenceFilter, day_of, search
from api.evidence.sequencer import SealingMetrics, Sequencer, now_ms
from api.evidence.verification import verify_records
from api.evidence.verifying import verify_chosen
from dsl import Verdict
from udfs.evidence.records import (
    Act,
    Body,
    ComplianceSpan,
    Coverage,
    Kind,
    Outcome,
    RuleRef,
    RuleVerdict,
)

YEAR_DAYS: Final = 365
_REPEATS: Final = 50
_FEW: Final = 10
"""Of what takes long, and writes."""
_AT_ONCE: Final = 2_000
_HOUR_MS: Final = 3_600_000
_SAID: Final = ("soc2.CC6.1", "soc2.CC6.7", "hipaa.164.312(a)(1)", "gdpr.32")
_JUDGED: Final = ("soc2.CC7.2", "hipaa.164.312(b)", "gdpr.30", "soc2.CC8.1")
_OPERATIONS: Final = tuple(
    f"{verb} {what}"
    for verb in ("read", "change", "export", "share")
    for what in ("patient", "invoice", "order", "account", "report")
)
_RARE: Final = "quarantine"


@dataclass(frozen=True, slots=True)
class AskedFigures:
    """How long a question took, in milliseconds. found: records that it chose, None: no list."""

    question: str
    times: int
    p50_ms: float
    p95_ms: float
    most_ms: float
    found: int | None


@dataclass(frozen=True, slots=True)
class ListFigures:
    """What was measured over so many records."""

    records: int
    sealed_per_s: int
    questions: tuple[AskedFigures, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Question:
    name: str
    ask: Callable[[], Awaitable[int | None]]
    times: int = _REPEATS


def measure_lists(
    *, admin_dsn: str, worker_dsn: str, app_dsn: str, records: int, say: Callable[[str], None]
) -> ListFigures:
    """Seal so many records of a tenant of its own, and ask about them.

    admin_dsn: of the owner of a migrated database that can be thrown away.
    """
    tenant = uuid4()
    with psycopg.connect(admin_dsn) as connection:
        connection.execute(
            "insert into tenants (id, name, settings) values (%s, %s, '{}')",
            [tenant, f"bench-{tenant}"],
        )
    end_ms = now_ms() // _HOUR_MS * _HOUR_MS
    say(f"sealing {records:,} records of a year")
    begun_s = time.monotonic()
    asyncio.run(_fill(worker_dsn, tenant, records, end_ms=end_ms))
    sealed_per_s = records / (time.monotonic() - begun_s)
    with psycopg.connect(admin_dsn, autocommit=True) as connection:
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")
    scope = sealer_of(tenant)
    questions = asyncio.run(_ask(app_dsn, scope, end_ms=end_ms, say=say))
    return ListFigures(records, round(sealed_per_s), questions)


async def _fill(dsn: str, tenant: UUID, records: int, *, end_ms: int) -> None:
    """Hand over and seal by turns, so that the inbox stays short."""
    async with open_pool(dsn, size=2, name="betrace bench lists") as pool:
        keys = bench_keys(pool)
        origin = f"bench.example/log/{tenant}"
        await create_log(pool, keys, tenant, origin=origin, now_ms=end_ms)
        sequencer = Sequencer(pool, keys, site="bench", metrics=SealingMetrics(CollectorRegistry()))
        offers = _offers(tenant, records, end_ms=end_ms)
        with psycopg.connect(dsn, row_factory=dict_row) as connection:
            while batch := [one for _, one in zip(range(_AT_ONCE), offers, strict=False)]:
                refused = offer(connection, batch)
                assert not refused, refused[0].detail
                connection.commit()
                await sequencer.seal(tenant)
        await sign_head(pool, keys, tenant, now_ms=now_ms())


def _offers(tenant: UUID, records: int, *, end_ms: int) -> Iterator[Offer]:
    random = Random(1)
    step = YEAR_DAYS * DAY_MS / records
    begin_ms = end_ms - YEAR_DAYS * DAY_MS
    coverage = _Hours(begin_ms, rules=max(40, records * 3 // 20 // (YEAR_DAYS * 24) + 1))
    for number in range(records):
        time_ms = begin_ms + int(number * step)
        kind = number % 20
        controls: tuple[str, ...]
        body: Body
        if kind < 12:
            controls, body = (_SAID[number % 4],), _span(random, number)
        elif kind < 16:
            controls, body = (_JUDGED[number % 4],), _verdict(random, number)
        elif kind < 19:
            control, body = coverage.next()
            controls, time_ms = (control,), body.from_ms
        else:
            controls = ()
            body = Act("rule.changed", "user:1", f"rule:rule-{number % 50}", Outcome.SUCCESS)
        yield Offer(
            tenant=tenant, id=f"bench.{number}", time_ms=time_ms, controls=controls, body=body
        )


class _Hours:
    """Coverage of one rule and control after the other, hour by hour, as it would come."""

    def __init__(self, begin_ms: int, *, rules: int) -> None:
        self._begin_ms = begin_ms
        self._rules = rules
        self._number = 0

    def next(self) -> tuple[str, Coverage]:
        """Return the next control and interval."""
        hour, rule = divmod(self._number, self._rules)
        self._number += 1
        from_ms = self._begin_ms + hour * _HOUR_MS
        judged = 0 if hour % 5 == 4 else 1_000
        covered = Coverage(
            _rule(rule), from_ms, from_ms + _HOUR_MS, judged, judged, 0, 0, 0, 0, begins=hour == 0
        )
        return _JUDGED[rule % 4], covered


def _rule(number: int) -> RuleRef:
    return RuleRef(f"rule-{number}", 1, "0" * 64)


def _span(random: Random, number: int) -> ComplianceSpan:
    failed = random.random() < 0.001
    operation = _RARE if number % 100_000 == 0 else random.choice(_OPERATIONS)
    return ComplianceSpan(
        "access_decision",
        operation,
        Outcome.FAILURE if failed else Outcome.SUCCESS,
        f"service-{number // 20 % 20}",
        f"{number:032x}",
        f"{number:016x}",
    )


def _verdict(random: Random, number: int) -> RuleVerdict:
    violated = random.random() < 0.01
    verdict = Verdict.VIOLATED if violated else Verdict.SATISFIED
    return RuleVerdict(_rule(number // 20 % 40), verdict, f"{number:032x}", 1, f"{number:032x}")


async def _ask(
    dsn: str, scope: TenantScope, *, end_ms: int, say: Callable[[str], None]
) -> tuple[AskedFigures, ...]:
    async with open_pool(dsn, size=2, name="betrace bench lists") as pool:
        figures = []
        for question in _questions(pool, scope, end_ms=end_ms):
            say(question.name)
            figures.append(await _timed(question))
    return tuple(figures)


async def _timed(question: _Question) -> AskedFigures:
    await question.ask()  # what is cold belongs to no figure
    times, found = [], None
    for _ in range(question.times):
        begun_s = time.perf_counter()
        found = await question.ask()
        times.append((time.perf_counter() - begun_s) * 1_000)
    times.sort()
    return AskedFigures(
        question.name,
        question.times,
        round(statistics.median(times), 1),
        round(times[min(len(times) - 1, int(len(times) * 0.95))], 1),
        round(times[-1], 1),
        found,
    )


def _questions(pool: Pool, scope: TenantScope, *, end_ms: int) -> Sequence[_Question]:
    today = day_of(end_ms)
    year = {"from_day": today - timedelta(days=YEAR_DAYS), "to_day": today + timedelta(days=1)}
    month = {**year, "from_day": today - timedelta(days=30)}

    async def matrix(framework: str, days: dict[str, Any]) -> None:
        await read_matrix(pool, scope, framework=framework, **days)

    async def control() -> None:
        await read_control(pool, scope, _JUDGED[0], **year)

    async def quiet() -> None:
        await read_quiet(pool, scope, now=datetime.fromtimestamp(end_ms / 1_000, UTC))

    async def page(chosen: EvidenceFilter, *, looked_at: bool = False) -> int | None:
        found = await search(pool, scope, chosen)
        if looked_at:
            await verify_records(pool, scope, found.items)
        return found.total

    async def verification() -> int:
        found = await verify_chosen(pool, scope, EvidenceFilter(control=_SAID[0]))
        return found.verification.checked

    half_ms = end_ms - 180 * DAY_MS + 5 * _HOUR_MS
    lists = {
        "newest 50": EvidenceFilter(),
        "50 of a framework": EvidenceFilter(framework="soc2"),
        "50 of a control, half a year ago": EvidenceFilter(control=_SAID[0], to_ms=half_ms),
        "50 violations": EvidenceFilter(outcomes=("violated",)),
        "50 failures of a control": EvidenceFilter(control=_SAID[0], outcomes=("failure",)),
        "50 verdicts of a rule": EvidenceFilter(rule="rule-3", kinds=(Kind.VERDICT,)),
        "50 of a service": EvidenceFilter(service="service-7"),
        "a word that most say": EvidenceFilter(text="success"),
        "a word that few say": EvidenceFilter(text=_RARE),
        "words and half a word": EvidenceFilter(text="service-7 export pat"),
        "words of a control in 180 days and an hour": EvidenceFilter(
            text="failure", control=_SAID[0], from_ms=half_ms
        ),
        "a word that nobody says": EvidenceFilter(text="nothing"),
    }
    return [
        _Question("matrix of a framework, 30 days", partial(matrix, "soc2", month)),
        _Question("matrix of a framework, a year", partial(matrix, "soc2", year)),
        _Question("matrix of all frameworks, a year", partial(matrix, "", year)),
        _Question("one control, a year", control),
        _Question("quiet controls", quiet),
        *(_Question(name, partial(page, chosen)) for name, chosen in lists.items()),
        _Question("newest 50, looked at", partial(page, EvidenceFilter(), looked_at=True)),
        _Question("1,000 verified and put on record", verification, times=_FEW),
    ]
