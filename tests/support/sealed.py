"""Evidence of a tenant, handed over and sealed by the sequencer itself, for tests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID, uuid4

import psycopg
from prometheus_client import CollectorRegistry

from api.database import open_pool
from api.evidence.checkpointing import Pace
from api.evidence.model import Offer
from api.evidence.offering import offer
from api.evidence.sequencer import SealingMetrics, Sequencer
from dsl import Verdict
from tests.support.keys import local_keys
from tests.support.postgres import Database
from udfs.evidence.records import (
    Act,
    Body,
    ComplianceSpan,
    Coverage,
    Outcome,
    RuleRef,
    RuleVerdict,
)

MINUTE_MS = 60_000


def now_ms() -> int:
    """Return the time, Unix milliseconds."""
    return time.time_ns() // 1_000_000


async def seal(database: Database, offers: Sequence[Offer], *, signed: bool = True) -> None:
    """Hand over, seal, and sign the head. signed: False: a head is due in a day only.

    Raises ValueError for an offer that is no record.
    """
    wait_ms = 0 if signed else 24 * 60 * MINUTE_MS
    with psycopg.connect(database.worker) as connection:
        refused = offer(connection, offers)
    if refused:
        raise ValueError(refused[0].detail)
    async with open_pool(database.worker, size=2) as pool:
        sequencer = Sequencer(
            pool,
            local_keys(pool),
            site="betrace.example",
            metrics=SealingMetrics(CollectorRegistry()),
            pace=Pace(interval_ms=wait_ms, idle_ms=wait_ms),
        )
        while await sequencer.round(feeds=False):
            pass


def days_of_evidence(
    tenant: UUID, *, rule: str, text: str, control: str, said: str, until_ms: int, days: int = 3
) -> list[Offer]:
    """Return what a tenant's evidence of some days may be: a rule judged a control every minute of
    the last hour of each day, and broke it once on the last; a service said what it did."""
    ref = RuleRef(rule, 1, sha256(text.encode()).hexdigest())
    began_ms = until_ms - days * 24 * 60 * MINUTE_MS
    made: list[Offer] = []

    def add(body: Body, controls: tuple[str, ...], at_ms: int, **more: str) -> None:
        personal = dict(more) or None
        made.append(
            Offer(
                tenant=tenant,
                id=uuid4().hex,
                time_ms=at_ms,
                body=body,
                controls=controls,
                personal=personal,
            )
        )

    add(Act("rule.created", "user:1", f"rule:{rule}", Outcome.SUCCESS), (), began_ms)
    step = 6 * 60 * MINUTE_MS
    intervals = range(began_ms, until_ms, step)
    for number, at_ms in enumerate(intervals):
        is_last = number == len(intervals) - 1
        for outcome in (Outcome.SUCCESS, Outcome.SUCCESS, Outcome.BLOCKED):
            add(a_span(outcome), (said,), at_ms + MINUTE_MS, user="ada@example.com")
        if is_last:
            trace = uuid4().hex
            verdict = RuleVerdict(ref, Verdict.VIOLATED, uuid4().hex, 1, trace)
            add(verdict, (control,), at_ms + 2 * MINUTE_MS)
        coverage = Coverage(
            rule=ref,
            from_ms=at_ms,
            to_ms=at_ms + step,
            judged=1_200,
            satisfied=1_200 - is_last,
            violated=int(is_last),
            inconclusive=0,
            late=0,
            dropped=0,
            begins=number == 0,
            ends=is_last,
        )
        add(coverage, (control,), at_ms)
    return made


def a_span(outcome: Outcome) -> ComplianceSpan:
    """Return a compliance span of its own."""
    return ComplianceSpan(
        "access_decision", "POST /charges", outcome, "payments", uuid4().hex, uuid4().hex[:16]
    )
