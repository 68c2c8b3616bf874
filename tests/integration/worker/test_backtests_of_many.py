"""Backtests of rules over many traces: parts hand on what they found, the last part judges it."""

from __future__ import annotations

from uuid import UUID

import pytest

from api.auth.principal import TenantScope
from api.backtests.model import BacktestState, Count
from api.problems import ApiError
from api.worker.backtests import storing
from api.worker.backtests.process import Runner
from api.worker.database import backtest_statement, connect
from tests.integration.worker.backtests import (
    END_MS,
    FROM_MS,
    LIFE,
    MINUTE_MS,
    TO_MS,
    TimedLog,
    World,
)
from tests.integration.worker.world import rows
from tests.support.engine import SpanDraft, trace_id
from tests.support.logs import judge, read_log
from udfs.lanes import LANES
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration

CHECKED = "when { payment.charge.where(amount > 1000) } always { fraud.check }"
STRICTER = "when { payment.charge.where(amount > 500) } always { fraud.check }"
UNCHECKED = 'correlate { violated("checked") } by user.id within 5m having count >= 3'
LOGINS = "correlate { login.failed } by user.id within 5m having count >= 3"
BACKUPS = "expect { backup } every 10m by host in [a, b]"


@pytest.fixture
def scope(world: World, log: TimedLog) -> TenantScope:
    scope = world.tenant()
    log.append_rules(LIFE.log_record(scope.tenant_id))
    log.beat(0)  # a rule over many traces knows nothing of before the log of its partition began
    world.save(scope, "checked", CHECKED, group_by=["user.id"])
    world.save(scope, "unchecked", UNCHECKED)
    world.save(scope, "logins", LOGINS)
    world.save(scope, "backups", BACKUPS)
    return scope


def send(log: TimedLog, scope: TenantScope, at_ms: int, name: str, **attributes: object) -> None:
    """Write a trace of one span, which starts when it comes."""
    trace = f"{name} at {at_ms} of {attributes}"
    span = SpanDraft(
        trace=trace,
        id=trace,
        name=name,
        start_ms=log.origin_ms + at_ms,
        attributes={key.replace("_", "."): value for key, value in attributes.items()},
    )
    log.send(at_ms, str(scope.tenant_id), span)


def send_logins(log: TimedLog, scope: TenantScope, user: str, *minutes: float) -> None:
    for minute in minutes:
        send(log, scope, int(minute * MINUTE_MS), "login.failed", user_id=user)


def asked(world: World, scope: TenantScope, log: TimedLog, *rules: dict[str, str]) -> UUID:
    return world.ask(scope, *rules, from_text=log.at(FROM_MS), to_text=log.at(TO_MS)).id


def handed_count(world: World) -> int:
    (row,) = rows(world.database.admin, "select count(*) as n from backtest_handed")
    return int(row["n"])


def test_saved_versions_give_the_signals_that_the_stream_gives(
    world: World, scope: TenantScope, log: TimedLog
) -> None:
    saved = "select record from rules_outbox where rule_id is not null order by id"
    log.append_rules(*(bytes(row["record"]) for row in rows(world.database.admin, saved)))
    for number in range(90):  # before, in and after the range, each user every ten minutes
        minute = 30 + number
        user = f"user {number // 10 % 3}"
        send_logins(log, scope, user, minute, *([minute + 0.5] if number % 10 < 4 else []))
        send(log, scope, minute * MINUTE_MS, "payment.charge", amount=2_000, user_id=user)
        if number % 25 >= 12:  # then none for 13 minutes
            send(log, scope, minute * MINUTE_MS, "backup", host="a")
    log.beat(END_MS)

    ids = ("unchecked", "logins", "backups")
    done = world.run(scope, asked(world, scope, log, *({"id": rule_id} for rule_id in ids)))
    streamed: dict[bytes, wire.Signal] = {}
    for _, value in judge(read_log(world.broker.address, world.topics.rules),
                          read_log(world.broker.address, world.topics.spans)):  # fmt: skip
        signal = wire.Signal.FromString(value)
        known = streamed.get(signal.id)
        if signal.rule_id in ids and (known is None or known.revision < signal.revision):
            streamed[signal.id] = signal
    inside = [one for one in streamed.values() if FROM_MS <= _own_ms(one) - log.origin_ms < TO_MS]
    assert {one.rule_id for one in inside} == set(ids)
    assert len(inside) < len(streamed)
    found = [result for result in world.results(scope, done.id) if result.now == "violated"]
    assert {(one.now_outcome["signal_id"], one.now_outcome["revision"]) for one in found} == {
        (signal.id.hex(), signal.revision) for signal in inside
    }
    assert [summary.changed_count for summary in done.summaries()] == [0, 0, 0]
    assert handed_count(world) == 0


def _own_ms(signal: wire.Signal) -> int:
    of_correlate = signal.HasField("correlated")
    time_ns = signal.correlated.since_ns if of_correlate else signal.overdue.due_ns
    return time_ns // 1_000_000


def test_a_lower_threshold_shows_exactly_the_planted_signals(
    world: World, scope: TenantScope, log: TimedLog
) -> None:
    send_logins(log, scope, "both", 65, 66, 67)
    send_logins(log, scope, "new", 70, 71)
    send_logins(log, scope, "neither", 75)
    send_logins(log, scope, "apart", 62, 80)
    send_logins(log, scope, "outside", 100, 101, 102)
    log.beat(END_MS)
    draft = {"id": "logins", "rule": LOGINS.replace("3", "2")}
    done = world.run(scope, asked(world, scope, log, draft))
    assert set(done.counts) == {
        Count("logins", "violated", "violated", 1),
        Count("logins", "satisfied", "violated", 1),
        Count("logins", "satisfied", "satisfied", 2),
    }
    (changed,) = world.results(scope, done.id, changed=True)
    assert changed.seen is not None
    assert changed.explanations is not None
    assert (changed.seen["key"], changed.seen["was"]) == ({"user.id": "new"}, None)
    traces = [
        f"login.failed at {minute * MINUTE_MS} of {{'user_id': 'new'}}" for minute in (70, 71)
    ]
    assert [one["trace_id"] for one in changed.seen["now"]["members"]] == [
        trace_id(trace).hex() for trace in traces
    ]
    having = next(c for c in changed.explanations["now"]["clauses"] if c["clause"] == "having")
    assert having["conditions"][0]["measured"] == {"count": [2, 2]}
    assert changed.explanations["was"] is None
    assert changed.begin_at.isoformat() == log.at(71 * MINUTE_MS)


def test_an_expect_that_is_met_more_often_than_asked_is_overdue_less(
    world: World, scope: TenantScope, log: TimedLog
) -> None:
    for minute in range(20, 120, 15):
        send(log, scope, minute * MINUTE_MS, "backup", host="a")
        # A partition of which nothing is read before the range knows nothing of before.
        log.beat(minute * MINUTE_MS)
    log.beat(END_MS)
    done = world.run(
        scope, asked(world, scope, log, {"id": "backups", "rule": BACKUPS.replace("10m", "20m")})
    )
    # Host b never came: overdue since before the range for both.
    assert set(done.counts) == {
        Count("backups", "violated", "satisfied", 2),
        Count("backups", "satisfied", "satisfied", 1),
    }
    lost = world.results(scope, done.id, was="violated")
    assert [one.seen and one.seen["key"] for one in lost] == [{"host": "a"}] * 2
    assert [one.begin_at.isoformat() for one in lost] == [
        log.at(minute * MINUTE_MS) for minute in (60, 75)
    ]


@pytest.mark.parametrize(("draft", "raised"), [([], 0), ([{"id": "checked", "rule": STRICTER}], 1)])
def test_the_rule_that_a_correlate_looks_at_is_that_of_the_request_else_the_saved_one(
    world: World, scope: TenantScope, log: TimedLog, draft: list[dict[str, str]], raised: int
) -> None:
    for minute in (65, 66, 67):
        send(log, scope, minute * MINUTE_MS, "payment.charge", amount=700, user_id="u1")
    log.beat(END_MS)
    done = world.run(scope, asked(world, scope, log, *draft, {"id": "unchecked"}))
    summary = next(one for one in done.summaries() if one.rule.id == "unchecked")
    assert (summary.now["violated"], summary.was and summary.was["violated"]) == (raised, 0)
    assert [rule.id for rule in done.rules] == [*(one["id"] for one in draft), "unchecked"]


def test_another_tenant_neither_contributes_nor_sees_anything(
    world: World, scope: TenantScope, log: TimedLog
) -> None:
    other = world.tenant()
    world.save(other, "logins", LOGINS)
    send_logins(log, other, "theirs", 65, 66, 67)
    send_logins(log, scope, "theirs", 65, 66)
    send_logins(log, scope, "ours", 65, 66, 67)
    log.beat(END_MS)
    done = world.run(scope, asked(world, scope, log, {"id": "logins"}))
    (found,) = (one for one in world.results(scope, done.id) if one.now == "violated")
    assert found.seen is not None
    assert found.seen["key"] == {"user.id": "ours"}
    for look in (world.read, world.results, world.cancel):
        with pytest.raises(ApiError, match="no such backtest"):
            look(other, done.id)


def to_the_last_part(runner: Runner) -> None:
    """Do everything but the part that gathers."""
    for _ in range(1 + LANES):
        assert runner.turn()


def test_the_last_part_of_a_worker_that_died_is_done_by_another(
    world: World, scope: TenantScope, log: TimedLog, runner: Runner
) -> None:
    send_logins(log, scope, "u1", 65, 66, 67)
    log.beat(END_MS)
    backtest = asked(world, scope, log, {"id": "logins"})
    to_the_last_part(runner)
    waiting = world.read(scope, backtest)
    assert (waiting.state, waiting.progress.gathers) == (BacktestState.RUNNING, True)
    assert waiting.progress.parts_done == waiting.progress.parts_total == LANES
    with connect(world.database.worker, name="test") as connection:
        claimed = connection.execute(
            backtest_statement("claim_part"), {"runner": "dead", "lease_s": -1}
        ).fetchone()
        assert claimed is not None
        assert claimed["gathers"]
    done = world.run(scope, backtest)
    assert done.counts == (Count("logins", "violated", "violated", 1),)
    assert not done.progress.gathers


def test_it_waits_until_every_other_part_is_done(
    world: World, scope: TenantScope, log: TimedLog, runner: Runner
) -> None:
    log.beat(END_MS)
    asked(world, scope, log, {"id": "logins"})
    assert runner.turn()
    with connect(world.database.worker, name="test") as connection:
        lease = {"runner": "slow", "lease_s": 600}
        first = connection.execute(backtest_statement("claim_part"), lease).fetchone()
        assert first is not None
        assert not first["gathers"]
        for _ in range(LANES - 1):
            assert runner.turn()
        assert connection.execute(backtest_statement("claim_part"), lease).fetchone() is None
        row = connection.execute(backtest_statement("is_work")).fetchone()
        assert row is not None
        assert not row["is_work"]


def test_it_lets_go_when_it_is_cancelled_and_leaves_nothing_behind(
    world: World, scope: TenantScope, log: TimedLog, runner: Runner
) -> None:
    send_logins(log, scope, "u1", 65, 66, 67)
    log.beat(END_MS)
    backtest = asked(world, scope, log, {"id": "logins"})
    to_the_last_part(runner)
    assert handed_count(world) > 0
    assert world.cancel(scope, backtest).state is BacktestState.CANCELLED
    with connect(world.database.worker, name="test") as connection:
        row = connection.execute(backtest_statement("is_work")).fetchone()
        assert row is not None
        assert row["is_work"]
    assert not runner.turn()
    assert (handed_count(world), world.read(scope, backtest).counts) == (0, ())


def test_more_members_than_a_backtest_takes_end_it_with_a_message(
    world: World, scope: TenantScope, log: TimedLog, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "MEMBERS_MAX", 4)
    send_logins(log, scope, "u1", 65, 66, 67)
    log.beat(END_MS)
    backtest = asked(world, scope, log, {"id": "logins"})
    while runner.turn():
        pass
    failed = world.read(scope, backtest)
    assert failed.state is BacktestState.FAILED
    assert "ask for a shorter range, or narrow what they look at" in failed.problem
    assert handed_count(world) == 0
