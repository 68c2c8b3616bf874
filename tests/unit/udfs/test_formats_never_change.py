"""Bytes in Kafka and in Flink's state can be read for ever: these are the golden ones.

A change of format gets a new version and a golden file of its own, and the old one stays. A
file that is not there yet is written by `python -m tests.unit.udfs.test_formats_never_change`.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.support.engine import (
    TENANT,
    Engine,
    MemoryStore,
    RulesLog,
    SpanDraft,
    SpansLog,
    trace_id,
    traces_of_lane,
)
from udfs.closed import Sealed, pack_sealed, unpack_sealed
from udfs.facts import pack_facts, unpack_facts
from udfs.lanes import lane_of
from udfs.life import Lane
from udfs.rulebook import FOLD_NEVER
from udfs.trace_state import unpack_trace

GOLDEN = Path(__file__).parents[2] / "golden" / "udfs"
CUT_MS = 16_000
END_MS = 90_000
LIVES = {"settle_ms": 2_000, "patience_ms": 20_000, "lateness_ms": 60_000, "max_life_ms": 60_000}


def scenario() -> tuple[RulesLog, SpansLog]:
    """Two rules; traces that are open, closed, counted, doubtful, corrected."""
    rules = RulesLog()
    rules.settings(fold_after=FOLD_NEVER, **LIVES)
    rules.rule("check", "when { charge.where(amount > 10) } always { fraud.check }")
    rules.rule("retry", "when { charge } never { count(http.retry) > 1 or trace.duration > 9s }")
    log = SpansLog()

    def send(at_ms: int, trace: str, *names: str, **fields: Any) -> None:
        root = f"{trace}/root"
        drafts = [
            SpanDraft(
                trace=trace,
                id=root if name == "charge" else f"{trace}/{name}/{at_ms}/{number}",
                parent="" if name == "charge" else root,
                name=name,
                start_ms=at_ms,
                attributes={"amount": 20},
                **fields,
            )
            for number, name in enumerate(names)
        ]
        log.send(at_ms, *drafts)

    send(0, "kept", "charge", "fraud.check")
    send(1_000, "broken", "charge", "http.retry", "other")
    send(1_500, "orphan", "http.retry")
    send(9_000, "retried", "charge", "http.retry", "http.retry", "http.retry")
    send(14_500, "broken", "fraud.check")
    send(15_000, "open", "charge", dropped=3)
    send(40_000, "open", "http.retry", dropped=1)
    return rules, log


def scenario_of_single_spans() -> tuple[RulesLog, SpansLog]:
    """Rules that keep spans, captured values and links; a trace that waits for a window."""
    rules, log = RulesLog(), SpansLog()
    rules.settings(fold_after=FOLD_NEVER, **LIVES)
    rules.rule("plain", "when { charge } always { fraud.check }")
    rules.rule("above", "when { charge as c } always { login ancestor of c }")
    rules.rule(
        "audited",
        """when { charge.where(amount > 10) as c and c.currency exists }
        always { audit.where(amount == c.amount and event.where(by == c.user)) after c within 20s }
        never { sum(amount of refund) > c.amount }""",
    )
    charge = {"amount": 20, "currency": "EUR", "user": "ada", "weight": 1.5}

    def span(trace: str, name: str, at_ms: int, parent: str, **attributes: Any) -> SpanDraft:
        return SpanDraft(
            trace=trace,
            id=f"{trace}/{name}",
            parent=parent and f"{trace}/{parent}",
            name=name,
            start_ms=at_ms,
            attributes=attributes,
        )

    log.send(0, span("broken", "charge", 0, "", **charge), span("broken", "refund", 1, "charge"))
    log.send(500, span("kept", "login", 0, ""), span("kept", "charge", 1, "login", **charge))
    log.send(600, span("past", "login", 0, ""))
    log.send(700, span("kept", "audit", 2, "charge", amount=20), span("kept", "refund", 9, "lost"))
    log.send(9_000, span("large", "charge", 9_000, "", amount=20, currency="x" * 5_000, user=True))
    log.send(15_000, span("open", "charge", 15_000, "", amount=[1, {"a": b"b"}], user=2.5))
    log.send(40_000, span("open", "refund", 15_001, "charge", amount=30))
    return rules, log


def scenario_over_caps() -> tuple[RulesLog, SpansLog]:
    """A tenant with room for one open trace a lane, and for few that are closed."""
    rules, log = RulesLog(), SpansLog()
    lives = {"settle_ms": 2_000, "patience_ms": 20_000, "lateness_ms": 60_000}
    limits = {"max_open_traces": 32, "max_known_traces": 5 * 32}
    rules.settings(**lives, **limits, max_life_ms=60_000, fold_after=FOLD_NEVER)
    rules.rule("check", "when { charge.where(amount > 10) } always { fraud.check }")
    traces = [name for name in map(str, range(900)) if lane_of(TENANT, trace_id(name)) == 27][:12]
    for at_ms in (0, 1_000, 4_000, 15_000, 40_000):
        for number, trace in enumerate(traces[: 4 + at_ms // 1_500]):
            draft = SpanDraft(trace=trace, id=f"{trace}/{at_ms}", name="charge", start_ms=at_ms)
            log.send(at_ms + number, replace(draft, attributes={"amount": 20}))
    return rules, log


def scenario_of_folds() -> tuple[RulesLog, SpansLog]:
    """A storm in one lane: one signal whole, others folded, withdrawn, and found broken again."""
    rules, log = RulesLog(), SpansLog()
    rules.settings(fold_after=1, **LIVES)
    rules.rule("check", "when { charge } always { fraud.check }", name="Charges are checked")
    rules.rule("many", 'correlate { violated("check") } by service within 1m having count > 1')
    storm = traces_of_lane(7, count=4)

    def send(at_ms: int, traces: list[str], name: str, parent: str = "root") -> None:
        drafts = [
            SpanDraft(
                trace=one,
                id=f"{one}/{name}",
                parent=parent and f"{one}/{parent}",
                name=name,
                start_ms=at_ms,
            )
            for one in traces
        ]
        log.send(at_ms, *drafts)

    send(0, storm, "root", parent="")
    send(100, storm, "charge")
    send(13_000, storm[2:3], "fraud.check")
    send(15_500, storm[3:], "fraud.check")
    send(40_000, storm[1:2], "fraud.check")
    send(61_000, storm[:1], "fraud.check")
    return rules, log


def scenario_of_external_roots() -> tuple[RulesLog, SpansLog]:
    """Traces that begin outside: judged, corrected by a late caller, open, and one with a root."""
    rules, log = RulesLog(), SpansLog()
    rules.settings(fold_after=FOLD_NEVER, external_roots=True, **{**LIVES, "patience_ms": 4_000})
    rules.rule("check", "when { charge.where(amount > 10) } always { fraud.check }")
    rules.rule("above", "when { refund as r } always { login ancestor of r }")

    def span(trace: str, name: str, at_ms: int, parent: str, **fields: Any) -> SpanDraft:
        return SpanDraft(
            trace=trace,
            id=f"{trace}/{name}",
            parent=parent and f"{trace}/{parent}",
            name=name,
            start_ms=at_ms,
            attributes={"amount": 20},
            **fields,
        )

    called: Any = {"kind": "server", "flags": 0x301}
    log.send(
        0, span("called", "charge", 0, "partner", **called), span("called", "other", 1, "charge")
    )
    log.send(500, span("late", "charge", 0, "login", kind="server"))
    log.send(600, span("rooted", "charge", 0, "login"), span("rooted", "login", 0, ""))
    log.send(8_000, span("late", "login", 0, "partner", **called))
    log.send(9_000, span("late", "refund", 9, "charge"))
    log.send(14_500, span("open", "charge", 14_500, "partner", **called))
    log.send(15_000, span("open", "refund", 14_501, "lost", kind="consumer"))
    log.send(40_000, span("open", "lost", 14_500, "charge"))
    return rules, log


Scenario: TypeAlias = Callable[[], tuple[RulesLog, SpansLog]]
WRITTEN: dict[str, Scenario] = {
    "formats-with-lateness": scenario,
    "formats-of-single-spans-with-lateness": scenario_of_single_spans,
    "formats-over-caps-with-lateness": scenario_over_caps,
    "formats-of-folds-with-lateness": scenario_of_folds,
    "formats-of-external-roots-with-lateness": scenario_of_external_roots,
}
"""What this build writes."""
WRITTEN_BEFORE = {
    "formats": "formats-with-lateness",
    "formats-of-single-spans": "formats-of-single-spans-with-lateness",
    "formats-with-open-spans": "formats-with-lateness",
    "formats-of-single-spans-with-open-spans": "formats-of-single-spans-with-lateness",
    "formats-over-caps": "formats-over-caps-with-lateness",
    "formats-of-folds": "formats-of-folds-with-lateness",
    "formats-of-external-roots": "formats-of-external-roots-with-lateness",
}
"""What was written before accounts told of open spans, or how late spans were, and what is written
now instead."""
SCENARIOS = WRITTEN | {name: WRITTEN[now] for name, now in WRITTEN_BEFORE.items()}
every_scenario = pytest.mark.parametrize("name", SCENARIOS)


def run(name: str) -> dict[str, Any]:
    """Return every kind of bytes that a scenario leaves behind, as hex."""
    rules, log = SCENARIOS[name]()
    engine = Engine(rules)
    elements = {}
    for record in log.records:
        if record.time_ms <= CUT_MS:
            engine.receive(record)
            stored = engine.state[record.lane][-1]
            elements[f"{record.lane}/{record.offset}"] = stored.hex()
    engine.advance(CUT_MS)
    snapshots = {
        lane: [piece.hex() for piece in machine.snapshot(engine.stores[lane])]
        for lane, machine in sorted(engine.lanes.items())
    }
    stores = {
        lane: {key.hex(): value.hex() for key, value in sorted(store.entries.items())}
        for lane, store in sorted(engine.stores.items())
    }
    engine.state = {lane: [bytes.fromhex(p) for p in pieces] for lane, pieces in snapshots.items()}
    engine.restart()
    for record in log.records:
        if record.time_ms > CUT_MS:
            engine.receive(record)
    engine.advance(END_MS)
    outputs = [
        {"topic": o.topic, "key": o.key.hex(), "value": o.value.hex()} for o in engine.outputs
    ]
    found = {"elements": elements, "snapshots": snapshots, "stores": stores, "outputs": outputs}
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def signals_of(found: dict[str, Any]) -> list[dict[str, str]]:
    return [output for output in found["outputs"] if output["topic"] == "signals"]


def golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", WRITTEN)
def test_the_same_logs_leave_the_same_bytes(name: str) -> None:
    assert run(name) == golden(name)


@pytest.mark.parametrize("name", WRITTEN_BEFORE)
def test_nothing_but_accounts_differs_from_what_was_written_before(name: str) -> None:
    before, now = golden(name), golden(WRITTEN_BEFORE[name])
    assert now["elements"] == before["elements"]
    assert now["stores"] == before["stores"]
    assert signals_of(now) == signals_of(before)


@every_scenario
def test_old_elements_are_read_and_written_alike(name: str) -> None:
    heads = 1 + 1 + 8 + 2 + 8  # 'E', format, time, partition, offset
    elements = [bytes.fromhex(element)[heads:] for element in golden(name)["elements"].values()]
    assert [pack_facts(unpack_facts(element)) for element in elements] == elements
    kinds = {"folds": {1, 2}, "external-roots": {2, 3}, "single-spans": {2}}
    expected = next((found for of_what, found in kinds.items() if of_what in name), {1})
    assert {element[0] for element in elements} == expected


@every_scenario
def test_old_snapshots_are_restored_and_written_alike(name: str) -> None:
    rules, _ = SCENARIOS[name]()
    engine = Engine(rules)
    for number, pieces in golden(name)["snapshots"].items():
        lane = int(number)
        engine.state[lane] = [bytes.fromhex(piece) for piece in pieces]
        stored = golden(name)["stores"][number].items()
        closed = MemoryStore()
        closed.entries.update({bytes.fromhex(k): bytes.fromhex(v) for k, v in stored})
        restored = Lane.restore(lane, engine.book, engine.state[lane], closed)
        assert restored.snapshot(closed) == engine.state[lane]


def test_what_was_turned_away_is_written_in_formats_of_its_own() -> None:
    kept = golden("formats-over-caps")
    (pieces,) = kept["snapshots"].values()
    assert [piece[:4] for piece in pieces] == ["4c02", "5403"]
    (store,) = kept["stores"].values()
    minutes = {value[:2] for key, value in store.items() if key.startswith("6d")}
    assert minutes == {"03"}


@every_scenario
def test_old_closed_traces_are_read_and_written_alike(name: str) -> None:
    kept = [
        (bytes.fromhex(key), bytes.fromhex(value))
        for store in golden(name)["stores"].values()
        for key, value in store.items()
    ]
    blocks = [value for key, value in kept if key[:1] == b"b"]
    assert blocks
    for block in blocks:
        size = int.from_bytes(block[17:21], "little")
        state = block[21 : 21 + size]
        assert unpack_trace(state).pack() == state


def test_what_tells_external_roots_is_kept_in_formats_of_its_own() -> None:
    stores = golden("formats-of-external-roots")["stores"].values()
    blocks = [v for store in stores for k, v in store.items() if k.startswith("62")]
    assert {block[42:44] for block in blocks} == {"02", "05"}


def test_what_folds_is_kept_in_formats_of_its_own() -> None:
    kept = golden("formats-of-folds")
    _, tenant = kept["snapshots"]["7"]
    blocks = [v for k, v in kept["stores"]["7"].items() if k.startswith("62")]
    traces = {block[42:44] for block in blocks}
    assert (tenant[:4], traces) == ("54" + "04", {"03", "04"})


def test_a_minute_of_closed_traces_is_written_as_ever() -> None:
    sealed = Sealed(7, array("Q", [1, 2**64 - 1]), array("I", [60_000, 3]), array("H", [0, 60_000]))
    packed = pack_sealed(sealed)
    assert packed.hex() == (
        "02" + "0700000000000000" + "02000000" + "00000000"
        "0100000000000000" + "ffffffffffffffff" + "60ea0000" + "03000000"
        "0000" + "60ea"
    )
    assert unpack_sealed(packed) == sealed
    assert sealed.blocks_ms() == [7 * 60_000 + 59_999]


if __name__ == "__main__":
    for each in WRITTEN:
        if not (GOLDEN / f"{each}.json").exists():
            (GOLDEN / f"{each}.json").write_text(json.dumps(run(each), indent=1) + "\n")
