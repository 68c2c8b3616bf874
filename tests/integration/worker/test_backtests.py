"""Backtests on a real log and a real database: what is reported, what differs, who sees it."""

from __future__ import annotations

from uuid import UUID

import psutil
import pytest

from api.auth.principal import TenantScope
from api.backtests.model import BacktestState, Count
from api.problems import ApiError
from api.worker.backtests.process import Runner
from tests.integration.worker.backtests import (
    END_MS,
    FROM_MS,
    LIFE,
    MINUTE_MS,
    TO_MS,
    TimedLog,
    World,
)
from tests.integration.worker.running import wait_until
from tests.integration.worker.test_process import worker
from tests.integration.worker.world import rows
from tests.support.engine import SpanDraft, trace_id
from tests.support.kafka import Broker
from tests.support.logs import judge, read_log
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration

TEXT = "when { payment.charge.where(amount > 1000) } always { fraud.check }"
STRICTER = "when { payment.charge.where(amount > 500) } always { fraud.check }"
RULE = "charges-are-checked"


@pytest.fixture
def scope(world: World, log: TimedLog) -> TenantScope:
    """A tenant whose settings the log tells as well."""
    scope = world.tenant()
    log.append_rules(LIFE.log_record(scope.tenant_id))
    world.save(scope, RULE, TEXT, name="Charges are checked")
    return scope


def charge(trace: str, amount: int) -> tuple[SpanDraft, SpanDraft]:
    """Return a trace of a root and a charge."""
    return (
        SpanDraft(trace=trace, id="root", name="POST /pay"),
        SpanDraft(
            trace=trace,
            id="charge",
            parent="root",
            name="payment.charge",
            attributes={"amount": amount},
        ),
    )


def check(trace: str) -> SpanDraft:
    return SpanDraft(trace=trace, id="check", parent="root", name="fraud.check")


def asked(world: World, scope: TenantScope, log: TimedLog, text: str = TEXT) -> UUID:
    """Ask what a text would have said between FROM_MS and TO_MS."""
    draft = {"id": RULE, "rule": text}
    return world.ask(scope, draft, from_text=log.at(FROM_MS), to_text=log.at(TO_MS)).id


def test_a_changed_rule_shows_exactly_the_planted_difference(
    world: World, scope: TenantScope, log: TimedLog
) -> None:
    tenant = str(scope.tenant_id)
    planted = {f"middling{number}" for number in range(20)}
    for number in range(20):
        at_ms = FROM_MS + number * MINUTE_MS
        log.send(at_ms, tenant, *charge(f"small{number}", 100))
        log.send(at_ms, tenant, *charge(f"middling{number}", 700))
        log.send(at_ms, tenant, *charge(f"large{number}", 2_000), check(f"large{number}"))
        log.send(at_ms, tenant, *charge(f"broken{number}", 2_000))
    log.beat(END_MS)

    done = world.run(scope, asked(world, scope, log, STRICTER))
    assert set(done.counts) == {
        Count(RULE, "not_applicable", "not_applicable", 20),
        Count(RULE, "not_applicable", "violated", 20),
        Count(RULE, "satisfied", "satisfied", 20),
        Count(RULE, "violated", "violated", 20),
    }
    assert (done.progress.trace_count, done.progress.span_count, done.open_count) == (80, 180, 0)
    assert done.progress.share == 1.0
    changed = world.results(scope, done.id, changed=True, limit=7)
    assert [result.trace_id for result in changed] == [
        trace_id(f"middling{number}").hex() for number in range(20)
    ]
    assert len(planted) == len({result.trace_id for result in changed})
    assert {(result.was, result.now) for result in changed} == {("not_applicable", "violated")}


def test_examples_come_with_their_spans_and_what_both_versions_say(
    world: World, scope: TenantScope, log: TimedLog
) -> None:
    log.send(FROM_MS, str(scope.tenant_id), *charge("middling", 700))
    log.beat(END_MS)
    done = world.run(scope, asked(world, scope, log, STRICTER))
    (result,) = world.results(scope, done.id)
    assert result.copied
    assert result.explanations is not None
    told = {side: result.explanations[side]["verdict"] for side in ("was", "now")}
    assert told == {"was": "not_applicable", "now": "violated"}
    copied = rows(
        world.database.admin,
        "select name from trace_spans where tenant_id = %s and trace_id = %s order by name",
        scope.tenant_id,
        trace_id("middling"),
    )
    assert [row["name"] for row in copied] == ["POST /pay", "payment.charge"]


def test_the_saved_version_gives_the_signals_that_the_stream_gives(
    world: World, scope: TenantScope, log: TimedLog
) -> None:
    tenant = str(scope.tenant_id)
    log.append_rules(*_saved_records(world, scope))
    for number in range(30):
        at_ms = FROM_MS - 15 * MINUTE_MS + number * 2 * MINUTE_MS
        trace = f"trace{number}"
        log.send(at_ms, tenant, *charge(trace, 2_000))
        if number % 3 == 0:  # late: withdraws the signal
            log.send(at_ms + MINUTE_MS, tenant, check(trace))
    log.beat(END_MS)

    done = world.run(scope, world.ask(
        scope, {"id": RULE}, from_text=log.at(FROM_MS), to_text=log.at(TO_MS)
    ).id)  # fmt: skip
    streamed = _last_of_each(
        judge(read_log(world.broker.address, world.topics.rules),
              read_log(world.broker.address, world.topics.spans))
    )  # fmt: skip
    inside = [
        signal for signal in streamed if FROM_MS <= signal.first_span_ms - log.origin_ms < TO_MS
    ]
    assert 10 <= len(inside) < len(streamed)
    found = world.results(scope, done.id)
    assert {
        (result.now_outcome["signal_id"], result.now_outcome["revision"], result.now)
        for result in found
    } == {
        (signal.id.hex(), signal.revision, "violated")
        for signal in inside
        if signal.verdict == wire.VERDICT_VIOLATED
    }
    withdrawn = sum(signal.verdict == wire.VERDICT_SATISFIED for signal in inside)
    assert Count(RULE, "satisfied", "satisfied", withdrawn) in done.counts
    assert [summary.changed_count for summary in done.summaries()] == [0]


def test_spans_around_the_range_are_heeded_and_traces_around_it_are_not_reported(
    world: World, scope: TenantScope, log: TimedLog
) -> None:
    tenant = str(scope.tenant_id)
    log.send(FROM_MS - MINUTE_MS, tenant, *charge("before", 2_000))
    log.send(FROM_MS + MINUTE_MS, tenant, SpanDraft(trace="before", id="more", name="more"))
    log.send(TO_MS - MINUTE_MS, tenant, *charge("late", 2_000))
    log.send(TO_MS + MINUTE_MS, tenant, check("late"))
    log.send(TO_MS - MINUTE_MS, tenant, *charge("too late", 2_000))
    log.send(TO_MS + 7 * MINUTE_MS, tenant, check("too late"))
    log.send(TO_MS, tenant, *charge("after", 2_000))
    log.beat(END_MS)
    done = world.run(scope, asked(world, scope, log))
    assert done.progress.trace_count == 2
    assert [result.trace_id for result in world.results(scope, done.id)] == [
        trace_id("too late").hex()
    ]
    assert Count(RULE, "satisfied", "satisfied", 1) in done.counts


def test_a_trace_that_is_not_over_when_the_log_ends_is_open(
    world: World, scope: TenantScope, log: TimedLog
) -> None:
    log.send(END_MS, str(scope.tenant_id), *charge("young", 2_000))
    log.beat(END_MS + 1_000)
    backtest = world.ask(
        scope, {"id": RULE}, from_text=log.at(FROM_MS), to_text=log.at(END_MS + 500)
    )
    done = world.run(scope, backtest.id)
    assert (done.counts, done.open_count) == ((Count(RULE, "open", "open", 1),), 1)


def test_a_rule_that_was_never_saved_is_compared_with_nothing(
    world: World, scope: TenantScope, log: TimedLog
) -> None:
    log.send(FROM_MS, str(scope.tenant_id), *charge("large", 2_000))
    log.beat(END_MS)
    draft = {"id": "new", "rule": TEXT, "name": "New"}
    backtest = world.ask(scope, draft, from_text=log.at(FROM_MS), to_text=log.at(TO_MS))
    assert backtest.rules[0].was is None
    done = world.run(scope, backtest.id)
    assert done.counts == (Count("new", "", "violated", 1),)
    assert [(r.was, r.changed) for r in world.results(scope, done.id)] == [("", False)]


def test_spans_of_another_tenant_are_not_judged_and_results_not_seen(
    world: World, scope: TenantScope, log: TimedLog
) -> None:
    other = world.tenant()
    log.send(FROM_MS, str(other.tenant_id), *charge("theirs", 2_000))
    log.send(FROM_MS, str(scope.tenant_id), *charge("ours", 2_000))
    log.beat(END_MS)
    done = world.run(scope, asked(world, scope, log))
    assert [result.trace_id for result in world.results(scope, done.id)] == [trace_id("ours").hex()]
    for look in (world.read, world.results, world.cancel):
        with pytest.raises(ApiError, match="no such backtest"):
            look(other, done.id)


def test_one_at_a_time_for_each_tenant(world: World, scope: TenantScope, log: TimedLog) -> None:
    log.beat(END_MS)
    first = asked(world, scope, log)
    with pytest.raises(ApiError) as refused:
        asked(world, scope, log)
    assert (refused.value.code, refused.value.members) == (
        "backtest.running",
        {"running": str(first)},
    )
    other = world.tenant()
    world.save(other, RULE, TEXT)
    assert asked(world, other, log)
    world.run(scope, first)
    assert asked(world, scope, log)


def test_a_queued_backtest_is_cancelled_at_once(
    world: World, scope: TenantScope, log: TimedLog, runner: Runner
) -> None:
    log.beat(END_MS)
    backtest = asked(world, scope, log)
    assert world.cancel(scope, backtest).state is BacktestState.CANCELLED
    assert not runner.turn()
    assert world.cancel(scope, backtest).state is BacktestState.CANCELLED


def test_a_running_backtest_lets_go_when_it_is_cancelled(
    world: World, scope: TenantScope, log: TimedLog, runner: Runner
) -> None:
    log.send(FROM_MS, str(scope.tenant_id), *charge("large", 2_000))
    log.beat(END_MS)
    backtest = asked(world, scope, log)
    for _ in range(3):
        assert runner.turn()  # the plan, and two parts
    running = world.read(scope, backtest)
    assert (running.state, running.progress.parts_done) == (BacktestState.RUNNING, 2)
    seen: list[BacktestState] = []
    tell = runner._tell

    def cancel_first(*arguments: object) -> None:
        if not seen:
            seen.append(world.cancel(scope, backtest).state)
        tell(*arguments)  # type: ignore[arg-type]

    runner._tell = cancel_first  # type: ignore[method-assign,assignment]
    assert runner.turn()
    assert seen == [BacktestState.CANCELLING]
    runner.turn()
    cancelled = world.read(scope, backtest)
    assert (cancelled.state, cancelled.progress.parts_done) == (BacktestState.CANCELLED, 2)
    assert not runner.turn()


def test_the_part_of_a_worker_that_died_is_done_by_another(
    world: World, scope: TenantScope, log: TimedLog, runner: Runner
) -> None:
    log.send(FROM_MS, str(scope.tenant_id), *charge("large", 2_000))
    log.beat(END_MS)
    backtest = asked(world, scope, log)
    assert runner.turn()
    lease = {"runner": "dead", "lease_s": -1}
    _execute(world, "claim_part", lease)
    done = world.run(scope, backtest)
    assert done.counts == (Count(RULE, "violated", "violated", 1),)


def test_a_part_that_workers_die_of_ends_the_backtest(
    world: World, scope: TenantScope, log: TimedLog, runner: Runner
) -> None:
    log.beat(END_MS)
    backtest = asked(world, scope, log)
    assert runner.turn()
    for _ in range(3):
        _execute(world, "claim_part", {"runner": "dead", "lease_s": -1})
    assert runner.turn()
    failed = world.read(scope, backtest)
    assert failed.state is BacktestState.FAILED
    assert "partition 0: 3 workers ended while judging it" in failed.problem


def test_a_range_that_has_expired_is_refused_with_the_earliest_time(
    world: World, scope: TenantScope, log: TimedLog, broker: Broker
) -> None:
    from kafka import KafkaAdminClient, TopicPartition

    log.beat(FROM_MS)
    log.beat(END_MS)
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.delete_records({TopicPartition(world.topics.spans, 3): 1})
    admin.close()
    with pytest.raises(ApiError) as refused:
        asked(world, scope, log)
    assert (refused.value.status, refused.value.code) == (422, "backtest.expired")
    earliest = str(refused.value.members["earliest"])
    assert log.at(FROM_MS + 27 * MINUTE_MS)[:16] <= earliest[:16]
    later = world.ask(scope, {"id": RULE}, from_text=earliest, to_text=log.at(TO_MS))
    world.run(scope, later.id)


def test_a_range_that_expires_while_it_waits_is_a_failure_with_a_reason(
    world: World, scope: TenantScope, log: TimedLog, broker: Broker, runner: Runner
) -> None:
    from kafka import KafkaAdminClient, TopicPartition

    log.beat(FROM_MS)
    log.beat(END_MS)
    backtest = asked(world, scope, log)
    admin = KafkaAdminClient(bootstrap_servers=broker.address)
    admin.delete_records({TopicPartition(world.topics.spans, 3): 1})
    admin.close()
    assert runner.turn()
    failed = world.read(scope, backtest)
    assert failed.state is BacktestState.FAILED
    assert "has expired from the spans log while it waited" in failed.problem


def _has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def _saved_records(world: World, scope: TenantScope) -> list[bytes]:
    found = rows(
        world.database.admin,
        "select record from rules_outbox where tenant_id = %s and rule_id is not null order by id",
        scope.tenant_id,
    )
    return [bytes(row["record"]) for row in found]


def _last_of_each(signals: set[tuple[bytes, bytes]]) -> list[wire.Signal]:
    latest: dict[bytes, wire.Signal] = {}
    for identity, value in signals:
        signal = wire.Signal.FromString(value)
        if identity not in latest or latest[identity].revision < signal.revision:
            latest[identity] = signal
    return list(latest.values())


def _execute(world: World, name: str, parameters: dict[str, object]) -> None:
    from api.worker.database import backtest_statement, connect

    with connect(world.database.worker, name="test") as connection:
        connection.execute(backtest_statement(name), parameters)


def test_a_worker_does_them_in_a_process_of_its_own_that_ends_with_it(
    world: World, scope: TenantScope, log: TimedLog
) -> None:
    log.send(FROM_MS, str(scope.tenant_id), *charge("large", 2_000))
    log.beat(END_MS)
    with worker(world.broker, world.topics, world.database) as running:
        wait_until(running.is_ready, what="the worker is ready")
        backtest = asked(world, scope, log)
        wait_until(
            lambda: world.read(scope, backtest).state is BacktestState.DONE,
            what="the backtest is done",
        )
        running_nice = psutil.Process(running.process.pid).nice()
        (process,) = psutil.Process(running.process.pid).children()
        assert "api.worker.backtests.process" in process.cmdline()
        assert process.nice() == min(19, running_nice + 19)
        running.process.kill()
        running.process.wait()
        wait_until(lambda: _has_ended(process), what="its process has ended")
