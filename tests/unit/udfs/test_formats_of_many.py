"""What rules over many traces leave in Kafka, between operators and in Flink's state: golden bytes.

As in test_formats_never_change: a change of format gets a version and a golden file of its own. A
file that is not there yet is written by `python -m tests.unit.udfs.test_formats_of_many`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Engine, RulesLog, SpanDraft, SpansLog
from tests.support.many import ManyStages, MemoryKeys
from udfs.contributions import STAGES, pack_contribution, unpack_contribution, unpack_items
from udfs.lanes import LANES
from udfs.many_lane import ManyLane
from udfs.trace_state import unpack_trace
from udfs.wire import betrace_pb2 as wire

GOLDEN = Path(__file__).parents[2] / "golden" / "udfs"
WRITTEN = "formats-of-many-traces-with-grown-rules"
"""What this build writes."""
WRITTEN_BEFORE = "formats-of-many-traces"
"""Before accounts told which rules had grown."""
CUT_MS = 12_000
END_MS = 90_000


def scenario() -> tuple[RulesLog, SpansLog]:
    """Each kind of rule, with members that come, change and go, and keys that are overdue."""
    rules, log = RulesLog(), SpansLog()
    rules.settings(settle_ms=2_000, patience_ms=20_000, lateness_ms=60_000, max_life_ms=60_000)
    rules.rule(
        "check",
        "when { charge.where(amount > 10) } always { fraud.check }",
        group_by=["user.id", "service"],
    )
    rules.rule(
        "unchecked",
        'correlate { violated("check") } by user.id, service within 1m having count >= 2',
    )
    rules.rule(
        "logins",
        "correlate { login.where(ok == false) or any.where(odd == true) } by user.id within 10s"
        " having count >= 2 and distinct(trace) >= 2 and sum(weight) >= 0.5",
    )
    rules.rule("beats", "expect { beat } every 5s by host in [a, b]")
    rules.rule("up", 'correlate { violated("unchecked") or violated("beats") } by rule within 10m'
               " having count >= 1")  # fmt: skip

    def span(trace: str, name: str, at_ms: int, parent: str = "", **attributes: Any) -> SpanDraft:
        return SpanDraft(
            trace=trace,
            id=f"{trace}/{name}",
            parent=parent and f"{trace}/{parent}",
            name=name,
            start_ms=at_ms,
            attributes={key.replace("__", "."): value for key, value in attributes.items()},
        )

    log.send(1_000, span("a", "charge", 900, amount=20, user__id="u1"))
    log.send(2_000, span("b", "charge", 1_900, amount=30, user__id="u1"))
    log.send(2_100, span("c", "charge", 1_900, amount=30))
    log.send(3_000, span("l", "login", 2_900, ok=False, user__id=7, weight=0.5))
    log.send(3_100, span("m", "other", 2_950, odd=True, user__id="7", weight="2"))
    log.send(3_200, span("h", "beat", 3_100, host="a"))
    log.send(9_000, span("b", "fraud.check", 1_950, "charge"))
    log.send(9_500, span("i", "beat", 9_400, host="b"))
    log.send(40_000, span("j", "beat", 7_000, host="a"))
    return rules, log


def run() -> dict[str, Any]:
    """Return every kind of bytes that the scenario leaves behind, as hex."""
    rules, log = scenario()
    engine = Engine(rules)
    engine.many = _Heard(rules.book())
    engine.many.wake(time_ms=0)
    for record in log.records:
        if record.time_ms <= CUT_MS:
            engine.receive(record)
    engine.advance(CUT_MS)
    traces = sorted(
        trace.pack().hex()
        for lane in engine.lanes.values()
        for tenant in lane._tenants.values()
        for trace in tenant.open.values()
    )
    stored = sorted(
        value.hex()
        for store in engine.stores.values()
        for key, value in store.entries.items()
        if key[:1] == b"b"
    )
    lanes = {}
    for (stage, number), lane in sorted(engine.many.lanes.items()):
        store = engine.many.stores[stage, number]
        records = lane.snapshot(store)
        if lane._states or lane._inbox:
            lanes[f"{stage}/{number}"] = {
                "records": [one.hex() for one in records],
                "keys": {k.hex(): v.hex() for k, v in sorted(store.entries.items())},
            }
    for record in log.records:
        if record.time_ms > CUT_MS:
            engine.receive(record)
    engine.advance(END_MS)
    outputs = [
        {"topic": o.topic, "key": o.key.hex(), "value": o.value.hex()} for o in engine.outputs
    ]
    said = [[stage, lane, element.hex()] for stage, lane, element in engine.many.heard]
    found = {"said": said, "traces": traces, "stored": stored, "lanes": lanes, "outputs": outputs}
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


class _Heard(ManyStages):
    """Stages that remember what was said to them."""

    def __init__(self, book: Any) -> None:
        self.heard: list[tuple[str, int, bytes]] = []
        super().__init__(book)

    def say(self, stage: str, lane: int, element: bytes) -> None:
        self.heard.append((stage, lane, element))
        super().say(stage, lane, element)


def golden(name: str = WRITTEN) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text())  # type: ignore[no-any-return]


def without_accounts_of_traces(found: dict[str, Any]) -> dict[str, Any]:
    """Leave out what lanes of traces count: test_formats_never_change has golden bytes of that."""
    outputs = [
        output
        for output in found["outputs"]
        if output["topic"] != "stats"
        or wire.Stats.FromString(bytes.fromhex(output["value"])).lane >= LANES
    ]
    return {**found, "outputs": outputs}


def test_the_same_logs_leave_the_same_bytes() -> None:
    assert without_accounts_of_traces(run()) == without_accounts_of_traces(golden())


def test_old_contributions_are_read_and_written_alike() -> None:
    kinds = set()
    for stage, _, element in golden()["said"]:
        assert stage in STAGES
        for item in unpack_items(bytes.fromhex(element)):
            if item.content:
                contribution = unpack_contribution(item.content)
                kinds.add(type(contribution).__name__)
                assert pack_contribution(contribution) == item.content
    assert kinds == {"Joined", "Seen"}


def test_traces_that_handed_signals_on_are_read_and_written_alike() -> None:
    blocks = [bytes.fromhex(block) for block in golden()["stored"]]
    handed = [block for block in blocks if b'"user.id":"u1"' in block]
    assert handed
    for block in handed:
        size = int.from_bytes(block[17:21], "little")
        state = block[21 : 21 + size]
        assert (state[0], unpack_trace(state).pack()) == (3, state)


def test_nothing_but_accounts_differs_from_what_was_written_before() -> None:
    before, now = golden(WRITTEN_BEFORE), golden()
    assert (now["said"], now["traces"], now["stored"]) == (
        before["said"],
        before["traces"],
        before["stored"],
    )


@pytest.mark.parametrize("name", [WRITTEN, WRITTEN_BEFORE])
def test_old_lanes_are_restored_and_written_alike(name: str) -> None:
    book = scenario()[0].book()
    for place, kept in golden(name)["lanes"].items():
        stage, _, number = place.partition("/")
        store = MemoryKeys()
        store.entries = {bytes.fromhex(k): bytes.fromhex(v) for k, v in kept["keys"].items()}
        before = dict(store.entries)
        records = [bytes.fromhex(record) for record in kept["records"]]
        lane = ManyLane.restore(int(number), stage, book, records, store)
        assert (lane.snapshot(store), store.entries) == (records, before)


if __name__ == "__main__" and not (GOLDEN / f"{WRITTEN}.json").exists():
    (GOLDEN / f"{WRITTEN}.json").write_text(json.dumps(run(), indent=1) + "\n")
