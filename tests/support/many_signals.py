"""Signals of rules over many traces, as the job writes them and as they are stored."""

from __future__ import annotations

from typing import Any

from api.worker.many import key_of, seen_of
from tests.integration.worker.world import NOON_MS, TENANT
from udfs.wire import betrace_pb2 as wire

NOON_NS = NOON_MS * 1_000_000
CORRELATE = (
    'correlate { violated("charge-is-checked") or login } by user.id within 10m having count >= 2'
)
EXPECT = "expect { backup } every 24h by service in [billing, crm]"


def _signal(number: int, rule_id: str, *, tenant: str, **changed: Any) -> wire.Signal:
    return wire.Signal(
        id=number.to_bytes(16, "big"),
        revision=NOON_MS * 16,
        tenant=tenant,
        rule_id=rule_id,
        rule_version=1,
        rule_name=rule_id,
        severity="high",
        verdict=wire.VERDICT_VIOLATED,
        first_span_ms=NOON_MS - 60_000,
        last_span_ms=NOON_MS,
        judged_ms=NOON_MS,
        **changed,
    )


def correlated(*, number: int = 101, tenant: str = TENANT, **changed: Any) -> wire.Signal:
    """Return a signal of CORRELATE: of a signal, and of a span."""
    told = wire.Correlated(
        key=[wire.KeyField(name="user.id", value="u1")],
        since_ns=NOON_NS,
        last_ns=NOON_NS,
        within_ns=600_000_000_000,
        count=2,
        members=[
            wire.Contributing(
                time_ns=NOON_NS - 60_000_000_000,
                name="charge-is-checked",
                trace_id=bytes([7] * 16),
                signal_id=bytes([9] * 16),
                source=0,
            ),
            wire.Contributing(
                time_ns=NOON_NS,
                name="login",
                trace_id=bytes([8] * 16),
                span_id=bytes([3] * 8),
                source=1,
            ),
        ],
        measured=[wire.Measured(text="count", least="2", greatest="2")],
    )
    return _signal(number, "many-charges", tenant=tenant, correlated=told, **changed)


def overdue(*, number: int = 102, tenant: str = TENANT, **changed: Any) -> wire.Signal:
    """Return a signal of EXPECT: billing was last seen two days ago."""
    day_ns = 86_400_000_000_000
    told = wire.Overdue(
        key=[wire.KeyField(name="service", value="billing")],
        last_seen_ns=NOON_NS - 2 * day_ns,
        last_trace_id=bytes([7] * 16),
        due_ns=NOON_NS - day_ns,
        every_ns=day_ns,
    )
    return _signal(number, "nightly-backup", tenant=tenant, overdue=told, **changed)


def seen_again() -> wire.Signal:
    """Return the revision of `overdue` that resolves it."""
    signal = overdue()
    signal.revision += 16
    signal.judged_ms += 1_000
    signal.verdict = wire.VERDICT_SATISFIED
    signal.overdue.until_ns = NOON_NS
    signal.overdue.ended = "sighted"
    signal.overdue.seen_trace_id = bytes([8] * 16)
    signal.correction.replaces_revision = NOON_MS * 16
    signal.correction.was = wire.VERDICT_VIOLATED
    signal.correction.reason = "seen_again"
    return signal


def stored(signal: wire.Signal) -> dict[str, Any]:
    """Return what the worker stores of what was seen."""
    return {"many": seen_of(signal), "group_values": key_of(signal)}
