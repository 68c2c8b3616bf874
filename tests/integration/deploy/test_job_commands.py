"""`betrace job …` on an embedded stack: nothing that was judged is lost, nothing said twice."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

import pytest

from deploy.embedded.settings import SERVERS
from deploy.embedded.stack import Stack
from tests.support.charges import TENANT, charge, charge_rules, send, violations
from tests.support.engine import export_request, trace_id
from tests.support.job import betrace_job, wait_for
from tests.support.logs import SpansWriter, judge, read_log, write_rules
from tests.support.release import release_with_lanes
from tests.support.stack import running_stack
from udfs.lanes import LANES, tenant_prefix_crc
from udfs.rulebook import ACTIVATION_MS
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration

PREFIX = "betrace"
PATIENCE_S = 300


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Servers, ingest for its heartbeats, and the job."""
    with running_stack((*SERVERS, "ingest", "job"), checkpoint_interval_s=10) as stack:
        write_rules(stack.settings.kafka, f"{PREFIX}.rules", charge_rules(max_life_ms=60_000))
        wait_for(lambda: rules_are_in_force(stack), "rules in force", timeout_s=PATIENCE_S)
        yield stack


def rules_are_in_force(stack: Stack) -> bool:
    rules, spans = (
        read_log(stack.settings.kafka, f"{PREFIX}.{topic}") for topic in ("rules", "spans")
    )
    return bool(spans) and spans[-1].time_ms > rules[-1].time_ms + ACTIVATION_MS


def wait_for_signal(stack: Stack, rule: str, trace: str) -> None:
    wait_for(
        lambda: (rule, trace_id(trace)) in violations(stack.settings.kafka, PREFIX),
        f"{rule} of {trace}",
        timeout_s=PATIENCE_S,
    )


def writer(stack: Stack) -> SpansWriter:
    return SpansWriter(stack.settings.kafka, f"{PREFIX}.spans")


def job_restarts(stack: Stack) -> int:
    state = stack.state()
    assert state is not None
    return state.components["job"].restarts


def test_status_has_every_figure_and_no_alarm(stack: Stack) -> None:
    figures: dict[str, Any] = {}

    def complete() -> bool:
        figures.update(betrace_job(stack, "status", code=None))
        wanted = ("watermark_ms", "heartbeat_ms", "lag_records", "rules_read", "rss_bytes")
        return (
            all(figures[name] not in (None, []) for name in wanted)
            and figures["checkpoints"]["completed"] > 0
            and figures["rules_read"] == figures["rules_end"]
        )

    wait_for(complete, f"a job with all its figures, not {figures}", timeout_s=PATIENCE_S)
    assert figures["alarms"] == []
    assert figures["rules_read"] >= 3
    assert figures["parallelism"] == len(figures["rss_bytes"]) == 2
    assert figures["at_ms"] - figures["watermark_ms"] < 60_000


def test_a_savepoint_says_what_it_holds(stack: Stack) -> None:
    savepoint = betrace_job(stack, "savepoint")["savepoint"]
    report = betrace_job(stack, "check", savepoint)
    assert report["problems"] == []
    assert report["says"]["formats"]["lanes"] == 32
    assert set(map(int, report["offsets"])) == set(range(32))


def test_a_savepoint_of_other_lanes_is_refused(stack: Stack, tmp_path: Path) -> None:
    made = Path(urlsplit(betrace_job(stack, "savepoint")["savepoint"]).path)
    other = tmp_path / "other"
    shutil.copytree(made, other)
    metadata = other / "_metadata"
    metadata.write_bytes(metadata.read_bytes().replace(b"lanes=32", b"lanes=64"))
    report = betrace_job(stack, "check", other.as_uri(), code=1)
    assert report["problems"] == ["it was made with lanes 64; this build reads 32"]


def test_rescaling_keeps_open_traces_and_says_how_long_it_took(stack: Stack) -> None:
    before = job_restarts(stack)
    sender = writer(stack)
    send(sender, "over a rescale", "charge")
    outcome = betrace_job(stack, "rescale", "1")
    assert outcome["timing"]["down_s"] > 0
    assert set(outcome["timing"]["steps"]) >= {"check", "stop", "submit", "start"}
    send(sender, "over a rescale", "bypass")
    wait_for_signal(stack, "watched", "over a rescale")
    assert betrace_job(stack, "status", code=None)["parallelism"] == 1
    assert job_restarts(stack) == before


def test_more_tasks_than_slots_are_refused_before_anything_is_stopped(stack: Stack) -> None:
    job = betrace_job(stack, "status", code=None)["job_id"]
    said = betrace_job(stack, "rescale", "64", code=2)["said"]
    assert "64 tasks need 64 slots; there are 2" in said
    assert betrace_job(stack, "status", code=None)["job_id"] == job


def test_an_upgrade_keeps_state_and_parallelism(stack: Stack) -> None:
    sender = writer(stack)
    send(sender, "over an upgrade", "charge")
    outcome = betrace_job(stack, "upgrade")
    assert outcome["savepoint"].startswith("file:")
    send(sender, "over an upgrade", "bypass")
    wait_for_signal(stack, "watched", "over an upgrade")
    figures = betrace_job(stack, "status", code=None)
    assert (figures["job_id"], figures["parallelism"]) == (outcome["job_id"], 1)


def test_recovery_without_state_says_the_same_again(stack: Stack) -> None:
    sender = writer(stack)
    send(sender, "before the loss", "charge")
    wait_for_signal(stack, "checked", "before the loss")
    before = {(r.key, r.value) for r in read_log(stack.settings.kafka, f"{PREFIX}.signals")}
    outcome = betrace_job(stack, "recover")
    assert outcome["savepoint"] is None
    send(sender, "after the loss", "charge")
    wait_for_signal(stack, "checked", "after the loss")
    after = {(r.key, r.value) for r in read_log(stack.settings.kafka, f"{PREFIX}.signals")}
    new = after - before
    assert before <= after
    assert {key for key, _ in new}.isdisjoint(key for key, _ in before)


MORE_LANES = 2 * LANES


def apart(lanes: int, *, count: int) -> list[tuple[str, str]]:
    """Return pairs of traces that share a lane of this build and not one of so many lanes."""
    by_lane: dict[int, str] = {}
    pairs: list[tuple[str, str]] = []
    names = (f"straddles {number}" for number in itertools.count())
    while len(pairs) < count:
        name = next(names)
        lane = crc32(trace_id(name), tenant_prefix_crc(TENANT)) % lanes
        other = by_lane.pop((lane + LANES) % lanes, None)
        if other is None:
            by_lane[lane] = name
        else:
            pairs.append((other, name))
    return pairs


def send_cut(writer: SpansWriter, spans: Mapping[str, Iterable[str]], *, lanes: int) -> None:
    """Send spans of traces as an `ingest` with so many lanes does, one record a lane."""
    by_lane: dict[int, list[str]] = {}
    for trace in spans:
        crc = crc32(trace_id(trace), tenant_prefix_crc(TENANT))
        by_lane.setdefault(crc % lanes, []).append(trace)
    for lane, traces in by_lane.items():
        drafts = [charge(trace, name) for trace in traces for name in spans[trace]]
        writer.write(export_request(drafts), tenant=TENANT, lane=lane, spans=len(drafts))
    writer.flush()


def test_a_change_of_lanes_loses_nothing(stack: Stack, tmp_path: Path) -> None:
    """The last one: the job that it leaves has other lanes than this build."""
    release = release_with_lanes(MORE_LANES, tmp_path / "release")
    (bypassed, checked), (late, lacking), (mixed, kept) = apart(MORE_LANES, count=3)
    sender = writer(stack)
    straddling = (bypassed, checked, late, lacking, mixed, kept)
    send_cut(sender, dict.fromkeys(straddling, ("charge",)), lanes=LANES)
    wait_for(
        lambda: betrace_job(stack, "status", code=None)["checkpoints"]["completed"] > 0,
        "a checkpoint, which says how many lanes there are",
        timeout_s=PATIENCE_S,
    )
    plan = betrace_job(stack, "reshard", "--plan", release=release)
    assert (plan["lanes_before"], plan["lanes"]) == (LANES, MORE_LANES)
    outcome = betrace_job(stack, "reshard", release=release)
    assert outcome["timing"]["down_s"] >= outcome["timing"]["steps"]["catch up"]
    new = {bypassed: ("bypass", "check"), checked: ("check",), lacking: ("ship",)}
    send_cut(sender, new, lanes=MORE_LANES)
    # A replica of `ingest` that was not started again goes on with the lanes of before.
    send_cut(sender, {late: ("check",), mixed: ("bypass",), kept: ("check",)}, lanes=LANES)
    expected = {
        **dict.fromkeys((("checked", trace) for trace in straddling), "satisfied"),
        **dict.fromkeys((("checked", trace) for trace in (lacking, mixed)), "violated"),
        **dict.fromkeys((("watched", trace) for trace in (bypassed, mixed)), "violated"),
    }
    ids = {trace_id(trace): trace for trace in straddling}
    found: dict[tuple[str, str], str] = {}

    def said() -> set[tuple[bytes, bytes]]:
        records = read_log(stack.settings.kafka, f"{PREFIX}.signals")
        return {(r.key or b"", r.value) for r in records if of_ours(r.value)}

    def of_ours(value: bytes) -> bool:
        return wire.Signal.FromString(value).trace_id in ids

    def all_is_said() -> bool:
        found.clear()
        signals = [wire.Signal.FromString(value) for _, value in said()]
        for signal in sorted(signals, key=lambda signal: signal.revision):
            verdict = wire.Verdict.Name(signal.verdict).removeprefix("VERDICT_").lower()
            found[signal.rule_id, ids[signal.trace_id]] = verdict
        return found == expected

    wait_for(all_is_said, f"{expected}, and not {found}", timeout_s=PATIENCE_S)
    rules, spans = (
        read_log(stack.settings.kafka, f"{PREFIX}.{topic}") for topic in ("rules", "spans")
    )
    assert said() == {row for row in judge(rules, spans) if of_ours(row[1])}
