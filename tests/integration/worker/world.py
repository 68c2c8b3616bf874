"""Builders for the worker's tests: tenants and rules in Postgres, signals and spans on Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import psycopg
from confluent_kafka import Producer
from psycopg.rows import dict_row

from api.kafka.topics import TopicNames
from udfs.wire import betrace_pb2 as wire

TENANT = "3f0c7d0e-0c1b-4c0a-9a55-1f2e3d4c5b6a"
OTHER_TENANT = "9d5a3a52-7d0c-4a55-8f8e-0d1f3b6a7c88"
RULE = "charge-is-checked"
TEXT = "when { payment.charge } always { fraud.check }"
NOON_MS = 1_800_000_000_000 // 3_600_000 * 3_600_000
"""Some full hour of event time."""

VIOLATED = wire.VERDICT_VIOLATED
SATISFIED = wire.VERDICT_SATISFIED
NOT_APPLICABLE = wire.VERDICT_NOT_APPLICABLE
INCONCLUSIVE = wire.VERDICT_INCONCLUSIVE


def add_tenant(admin_dsn: str, tenant: str = TENANT) -> None:
    """Put a tenant into the database."""
    with psycopg.connect(admin_dsn) as connection:
        connection.execute(
            "insert into tenants (id, name, settings) values (%s, %s, '{}')", [tenant, tenant]
        )


def add_rule(
    admin_dsn: str,
    *,
    tenant: str = TENANT,
    rule_id: str = RULE,
    text: str = TEXT,
    state: str = "active",
    group_by: Sequence[str] = (),
    exceptions: Sequence[dict[str, str]] = (),
    judged_exceptions: Sequence[dict[str, str]] | None = None,
    suppress: str = "",
) -> None:
    """Put a rule with one version into the database."""
    stored: dict[str, object] = {"group_by": list(group_by), "exceptions": list(exceptions)}
    if suppress:
        stored["suppress"] = suppress
    with psycopg.connect(admin_dsn) as connection:
        connection.execute(
            "insert into rules (tenant_id, id, state, current_version) values (%s, %s, %s, 1)",
            [tenant, rule_id, state],
        )
        connection.execute(
            "insert into rule_versions (tenant_id, rule_id, version, state, object, text,"
            " judged_exceptions, canonical, language, deleted, author)"
            " values (%s, %s, 1, %s, %s, %s, %s, %s, 1, false, 'test')",
            [
                *(tenant, rule_id, state, json.dumps(stored), text),
                None if judged_exceptions is None else json.dumps(judged_exceptions),
                text,
            ],
        )


def add_version(
    admin_dsn: str,
    version: int,
    *,
    created_ms: int,
    exceptions: Sequence[dict[str, str]] = (),
    state: str = "active",
    rule_id: str = RULE,
) -> None:
    """Put another version of a rule of TENANT into the database, saved at a time."""
    with psycopg.connect(admin_dsn) as connection:
        connection.execute(
            "insert into rule_versions (tenant_id, rule_id, version, state, object, text,"
            " canonical, language, deleted, author, created_at)"
            " values (%s, %s, %s, %s, %s, %s, %s, 1, false, 'test', to_timestamp(%s))",
            [
                *(TENANT, rule_id, version, state),
                json.dumps({"exceptions": list(exceptions)}),
                *(TEXT, TEXT, created_ms / 1000),
            ],
        )
        connection.execute(
            "update rules set state = %s, current_version = %s where tenant_id = %s and id = %s",
            [state, version, TENANT, rule_id],
        )


def set_rule_state(admin_dsn: str, state: str, *, deleted: bool = False) -> None:
    """Switch the rule of TENANT on or off, or delete it."""
    with psycopg.connect(admin_dsn) as connection:
        connection.execute(
            "update rules set state = %s, deleted_at = case when %s then now() end"
            " where tenant_id = %s and id = %s",
            [state, deleted, TENANT, RULE],
        )


def trace_id(number: int) -> bytes:
    """Return the id of the n-th trace."""
    return number.to_bytes(16, "big")


def a_signal(
    number: int = 1,
    *,
    at_ms: int = 0,
    verdict: int = VIOLATED,
    was: int | None = None,
    tenant: str = TENANT,
    rule_id: str = RULE,
    **changed: Any,
) -> wire.Signal:
    """Return a revision of the signal of the n-th trace, judged at_ms after NOON_MS."""
    judged_ms = NOON_MS + at_ms
    signal = wire.Signal(
        id=blake2b(f"{tenant} {rule_id} {number}".encode(), digest_size=16).digest(),
        revision=judged_ms * 16,
        tenant=tenant,
        rule_id=rule_id,
        rule_version=1,
        rule_name="Every charge is checked",
        severity="high",
        controls=["soc2.CC7.2"],
        tags=["money"],
        verdict=verdict,
        broken_clause="always" if verdict == VIOLATED else "",
        reasons=["missing_parent"] if verdict == INCONCLUSIVE else [],
        trace_id=trace_id(number),
        root_name="POST /pay",
        root_service="shop",
        span_count=3,
        first_span_ms=NOON_MS - 5_000,
        last_span_ms=NOON_MS - 3_000,
        closed_ms=judged_ms,
        judged_ms=judged_ms,
        partition=number % 32,
        first_offset=10,
        last_offset=20 + at_ms // 1000,
    )
    if was is not None:
        signal.correction.replaces_revision = judged_ms * 16 - 1
        signal.correction.was = was
        signal.correction.reason = "late_evidence"
    for name, value in changed.items():
        setattr(signal, name, value)
    return signal


def a_fold(
    *,
    lane: int = 3,
    minute: int = 0,
    raised: int = 7,
    renewed: int = 0,
    withdrawn: int = 0,
    examples: Sequence[bytes] = (b"\1" * 16, b"\2" * 16),
    tick: int = 6,
    tenant: str = TENANT,
    rule_id: str = RULE,
    **changed: Any,
) -> wire.Signal:
    """Return what was folded in the n-th minute after NOON_MS, as of a tick of ten seconds."""
    minute_ms = NOON_MS + minute * 60_000
    signal = wire.Signal(
        id=blake2b(f"{tenant} {rule_id} {minute} {lane}".encode(), digest_size=16).digest(),
        revision=(minute_ms + tick * 10_000) * 16,
        tenant=tenant,
        rule_id=rule_id,
        rule_version=1,
        rule_name="Every charge is checked",
        severity="high",
        fold=wire.Fold(
            lane=lane,
            minute_ms=minute_ms,
            raised=raised,
            renewed=renewed,
            withdrawn=withdrawn,
            first_judged_ms=minute_ms + 1_000 if raised else 0,
            last_judged_ms=minute_ms + 9_000 if raised else 0,
            example_trace_ids=examples if raised else (),
        ),
    )
    for name, value in changed.items():
        setattr(signal, name, value)
    return signal


@dataclass(frozen=True)
class Told:
    """A record as it would be read from Kafka."""

    value: bytes | None
    topic: str = "betrace.signals"
    partition: int = 0
    offset: int = 0
    timestamp: int = NOON_MS


def told(*signals: wire.Signal) -> list[Told]:
    """Return signals as records, in order."""
    return [
        Told(signal.SerializeToString(), offset=offset) for offset, signal in enumerate(signals)
    ]


def rows(dsn: str, query: str, *parameters: object) -> list[dict[str, Any]]:
    """Return the rows of a query."""
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        return connection.execute(query.encode(), parameters).fetchall()


LASTING = (
    "select to_jsonb(s) - 'updated_at' - 'resolved_at' as row from signals s"
    " order by tenant_id, id",
    "select to_jsonb(h) - 'at' - 'seq' as row from signal_history h"
    " order by tenant_id, signal_id, seq",
    "select to_jsonb(b) as row from trace_budgets b order by tenant_id, rule_id, hour",
    "select to_jsonb(f) as row from signal_folds f"
    " order by tenant_id, rule_id, minute, rule_version, lane",
    "select to_jsonb(m) as row from stats_minutes m order by tenant_id, minute, lane",
    "select to_jsonb(r) as row from rule_stats_minutes r"
    " order by tenant_id, rule_id, minute, rule_version, lane",
    "select to_jsonb(d) - 'letter_partition' - 'letter_offset' - 'at' as row from dead_letters d"
    " order by 1",
)
"""Everything that must come out the same, however often and however cut records were delivered."""


def lasting_rows(dsn: str) -> list[list[dict[str, Any]]]:
    """Return the rows that a second delivery must not change, table by table."""
    return [[row["row"] for row in rows(dsn, query)] for query in LASTING]


def send(kafka: str, topic: str, values: Iterable[tuple[bytes | None, bytes]], **more: Any) -> None:
    """Write (key, value) records and wait until the broker has them."""
    producer = Producer({"bootstrap.servers": kafka, "acks": "all", "linger.ms": 20})
    for key, value in values:
        producer.produce(topic, key=key, value=value, **more)
        producer.poll(0)
    assert producer.flush(30) == 0


def send_signals(kafka: str, topics: TopicNames, signals: Iterable[wire.Signal]) -> None:
    """Write signals as the job does."""
    send(kafka, topics.signals, ((s.id, s.SerializeToString()) for s in signals))
