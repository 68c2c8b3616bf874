"""Laws of limits: accounts add up, nothing dropped makes a violation, and none harms another."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from hypothesis import event, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.engine import (
    TENANT,
    Engine,
    Record,
    RulesLog,
    SpanDraft,
    SpansLog,
    accounts,
    counts,
    final_signals,
    trace_id,
)
from udfs.accounts import SETTLED
from udfs.lanes import LANES, lane_of
from udfs.life import Output
from udfs.wire import betrace_pb2 as wire

OTHER = "00000000-0000-4000-8000-000000000000"
UNRULED = "00000000-0000-4000-8000-000000000001"
TENANTS = (TENANT, OTHER, UNRULED)
NAMES = ("payment.charge", "fraud.check", "payment.bypass", "other")
AFTERWARDS_MS = 700_000
GAPS_MS = (0, 0, 1, 500, 1_999, 2_000, 2_001, 9_000)
LONG_GAPS_MS = (*GAPS_MS, 125_000)
TIGHT = {"max_trace_spans": 6, "max_open_traces": 2, "max_open_bytes": 150, "max_known_traces": 4}
"""Of a lane."""


def rules_log(limits: Mapping[str, int] | None = None) -> RulesLog:
    log = RulesLog()
    in_all = {
        name: limit if name == "max_trace_spans" else limit * LANES
        for name, limit in (limits or {}).items()
    }
    for tenant in TENANTS:
        lives = {"settle_ms": 2_000, "patience_ms": 20_000, "lateness_ms": 120_000}
        log.settings(tenant=tenant, **lives, max_life_ms=600_000, **in_all)
    for tenant in (TENANT, OTHER):
        log.rule("check", "when { payment.charge } always { fraud.check }", tenant=tenant)
        log.rule("bypass", "when { payment.charge } never { payment.bypass }", tenant=tenant)
        log.rule("few", "when { payment.charge } never { count(other) > 2 }", tenant=tenant)
        log.rule(
            "joined",
            "when { payment.charge as c } always { fraud.check.where(n == c.n) descendant of c }",
            tenant=tenant,
        )
    return log


def names_in_one_lane(tenant: str, wanted: int) -> list[str]:
    """Return names of traces; they crowd one lane."""
    found: list[str] = []
    number = 0
    while len(found) < wanted:
        if lane_of(tenant, trace_id(str(number))) == 3:
            found.append(str(number))
        number += 1
    return found


NAMED = {tenant: names_in_one_lane(tenant, 8) for tenant in TENANTS}


@st.composite
def spans_logs(
    draw: st.DrawFn, gaps_ms: Sequence[int] = GAPS_MS, names: Sequence[str] = NAMES
) -> list[Record]:
    """Records of several tenants: with duplicates, late spans and spans of no use."""
    log = SpansLog()
    at_ms = 0
    for _ in range(draw(st.integers(1, 30))):
        at_ms += draw(st.sampled_from(gaps_ms))
        tenant = draw(st.sampled_from((TENANT, TENANT, OTHER, UNRULED)))
        drafts = []
        for _ in range(draw(st.integers(1, 4))):
            trace = draw(st.sampled_from(NAMED[tenant]))
            number = draw(st.sampled_from((0, 0, 1, 2, 3, 4)))
            drafts.append(
                SpanDraft(
                    trace=trace,
                    id=f"{trace}/{number}",
                    parent="" if number == 0 else f"{trace}/{draw(st.integers(0, 1))}",
                    name=draw(st.sampled_from(names)),
                    start_ms=number,
                    attributes={"n": number % 2},
                )
            )
        log.send(at_ms, *drafts, tenant=tenant)
        if draw(st.integers(0, 4)) == 0:
            log.records.append(misled(log.records[-1], offset=len(log.records)))
    return log.records


def misled(record: Record, *, offset: int) -> Record:
    """Return a record as it came into a lane where its spans do not belong."""
    return Record(record.time_ms, record.lane + 1, offset, record.payload, record.tenant)


def in_bundles(rules: RulesLog, records: Sequence[Record], chance: random.Random) -> list[Output]:
    """Run the records with watermarks and restarts at any moment."""
    engine = Engine(rules)
    for record in records:
        if chance.random() < 0.6:
            engine.advance(record.time_ms - chance.choice((1, 1, 1, 700)))
        engine.receive(record)
        if chance.random() < 0.3:
            engine.restart()
    last_ms = records[-1].time_ms
    for after_ms in sorted(chance.randrange(AFTERWARDS_MS) for _ in range(5)):
        engine.advance(last_ms + after_ms)
        if chance.random() < 0.3:
            engine.restart()
    engine.advance(last_ms + AFTERWARDS_MS)
    return engine.outputs


def at_once(rules: RulesLog, records: Sequence[Record]) -> list[Output]:
    engine = Engine(rules)
    if records:
        engine.run(records, until_ms=records[-1].time_ms + AFTERWARDS_MS)
    return engine.outputs


def of_tenant(outputs: Sequence[Output], tenant: str) -> list[Output]:
    return [o for o in outputs if o.headers.get("tenant") == tenant.encode()]


def spans_of(record: Record) -> int:
    request = ExportTraceServiceRequest.FromString(record.payload)
    return sum(
        len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans
    )


def some_limits() -> st.SearchStrategy[dict[str, int]]:
    return st.sets(st.sampled_from(sorted(TIGHT))).map(
        lambda names: {name: TIGHT[name] for name in sorted(names)}
    )


@settings(deadline=None, max_examples=150)
@given(spans_logs(LONG_GAPS_MS), some_limits(), st.integers(0, 2**32))
def test_every_span_that_came_is_in_one_account(
    records: list[Record], limits: dict[str, int], seed: int
) -> None:
    outputs = in_bundles(rules_log(limits), records, random.Random(seed))
    open_spans: dict[tuple[int, str], int] = {}
    for stats in sorted(accounts(outputs), key=lambda one: one.minute_ms):
        place = stats.lane, stats.tenant
        assert stats.HasField("open")
        assert stats.open_before == open_spans.get(place, 0)
        ended = sum(stats.counts.get(name, 0) for name in SETTLED)
        assert stats.open_before + stats.counts.get("received", 0) == stats.open + ended
        open_spans[place] = stats.open
    assert not any(open_spans.values())
    total = counts(outputs)
    assert total["received"] == sum(map(spans_of, records))
    for name in SETTLED:
        event(f"{name}: {total.get(name, 0) > 0}")


@settings(deadline=None, max_examples=100)
@given(spans_logs(LONG_GAPS_MS), some_limits(), st.integers(0, 2**32))
def test_each_message_on_its_way_adds_up(
    records: list[Record], limits: dict[str, int], seed: int
) -> None:
    for output in in_bundles(rules_log(limits), records, random.Random(seed)):
        if output.topic == "stats":
            stats = wire.Stats.FromString(output.value)
            ended = sum(stats.counts.get(name, 0) for name in SETTLED)
            assert stats.open_before + stats.counts.get("received", 0) == stats.open + ended


@settings(deadline=None, max_examples=100)
@given(spans_logs(LONG_GAPS_MS), some_limits(), st.integers(0, 2**32))
def test_bundles_and_restarts_change_no_byte_under_limits(
    records: list[Record], limits: dict[str, int], seed: int
) -> None:
    rules = rules_log(limits)
    bundled = in_bundles(rules, records, random.Random(seed))
    assert {(o.topic, o.key, o.value) for o in bundled} == {
        (o.topic, o.key, o.value) for o in at_once(rules, records)
    }


@settings(deadline=None, max_examples=150)
@given(spans_logs(names=("payment.charge", "fraud.check", "fraud.check")), some_limits())
def test_what_is_dropped_makes_no_violation(records: list[Record], limits: dict[str, int]) -> None:
    for tenant in TENANTS:
        free = final_signals(of_tenant(at_once(rules_log(), records), tenant))
        limited = final_signals(of_tenant(at_once(rules_log(limits), records), tenant))
        for about, verdict in limited.items():
            event(f"{verdict} with limits")
            if verdict == "violated":
                assert free[about] == "violated"


@settings(deadline=None, max_examples=100)
@given(spans_logs(), some_limits())
def test_a_tenant_over_its_limits_changes_no_byte_of_another(
    records: list[Record], limits: dict[str, int]
) -> None:
    alone = [record for record in records if record.tenant != TENANT]
    with_flood = at_once(rules_log(limits), records)
    event(f"flooded: {counts(of_tenant(with_flood, TENANT)).get('over_cap', 0) > 0}")
    for tenant in (OTHER, UNRULED):
        theirs = of_tenant(with_flood, tenant)
        mine = of_tenant(at_once(rules_log(limits), alone), tenant)
        assert [o for o in theirs if o.topic == "signals"] == [
            o for o in mine if o.topic == "signals"
        ]
        assert counts(theirs) == counts(mine)
