"""Which signals belong together, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.signals.incidents import Incident, Reason, Seen, Why, incidents_of
from api.signals.model import Severity

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def seen(name: str, rule: str, minutes: float = 0, **fields: Any) -> Seen:
    return Seen(
        **{
            "id": name,
            "rule_id": rule,
            "rule_name": rule.upper(),
            "severity": Severity.HIGH,
            "trace_id": name,
            "services": (name,),
            "versions": (),
            "at": NOON + timedelta(minutes=minutes),
            **fields,
        }
    )


def joined(*signals: Seen) -> list[tuple[tuple[str, ...], tuple[Reason, ...]]]:
    return [(one.signal_ids, one.reasons) for one in incidents_of(signals, limit=9)]


def test_signals_of_one_trace_belong_together_whatever_the_time() -> None:
    found = joined(seen("a", "r", trace_id="t"), seen("b", "s", 900, trace_id="t"), seen("c", "q"))
    assert found == [(("b", "a"), (Reason(Why.TRACE, "t", 2),))]


@pytest.mark.parametrize(("minutes", "together"), [(9, True), (11, False)])
def test_a_service_joins_within_minutes(minutes: int, *, together: bool) -> None:
    shop = {"services": ("shop",)}
    found = joined(seen("a", "r", **shop), seen("b", "s", minutes, **shop))
    assert found == ([(("b", "a"), (Reason(Why.SERVICE, "shop", 2),))] if together else [])


@pytest.mark.parametrize(("minutes", "together"), [(300, True), (400, False)])
def test_a_version_of_a_service_joins_within_hours(minutes: int, *, together: bool) -> None:
    new = {"versions": ("shop 4.2",)}
    found = joined(seen("a", "r", **new), seen("b", "s", minutes, **new))
    assert found == ([(("b", "a"), (Reason(Why.DEPLOY, "shop 4.2", 2),))] if together else [])


def test_one_rule_that_keeps_firing_is_no_incident() -> None:
    shop = {"services": ("shop",), "trace_id": "t"}
    assert joined(*(seen(str(number), "r", number, **shop) for number in range(5))) == []


def test_what_joins_is_transitive_and_the_worst_comes_first() -> None:
    shop, ledger = ("shop",), ("ledger",)
    found = incidents_of(
        [
            seen("a", "r", 0, services=shop),
            seen("b", "s", 5, services=("shop", "ledger")),
            seen("c", "r", 12, services=ledger, severity=Severity.CRITICAL),
            seen("x", "r", 60, services=("mail",)),
            seen("y", "s", 61, services=("mail",)),
        ],
        limit=9,
    )
    assert found[0] == Incident(
        signal_ids=("c", "b", "a"),
        rules=(("r", "R"), ("s", "S")),
        services=("shop", "ledger"),
        severity=Severity.CRITICAL,
        first_at=NOON,
        last_at=NOON + timedelta(minutes=12),
        reasons=(Reason(Why.SERVICE, "ledger", 2), Reason(Why.SERVICE, "shop", 2)),
    )
    assert [one.signal_ids for one in found[1:]] == [("y", "x")]


def test_no_more_are_told_than_asked_for() -> None:
    pairs = [
        seen(f"{number}{rule}", rule, number * 60, services=(str(number),))
        for number in range(5)
        for rule in "rs"
    ]
    assert [one.signal_ids for one in incidents_of(pairs, limit=2)] == [("4s", "4r"), ("3s", "3r")]
