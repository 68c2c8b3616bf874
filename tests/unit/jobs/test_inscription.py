"""What snapshots say of themselves, and what is refused because of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.fitness import SnapshotUnfit, problems_of
from jobs.inscription import CARRIER, Inscription, _digest
from jobs.settings import JobSettings
from jobs.snapshot import Operator, Snapshot
from jobs.topology import build
from jobs.uids import stream_graph
from udfs import closed, contributions, facts, life, many_lane, trace_state
from udfs.formats import READS, WRITES

RULES = (b"first", b"second")
GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "jobs" / "operator_ids.json"


def inscription(rules: Sequence[bytes] = RULES, **formats: int) -> Inscription:
    return Inscription({**WRITES, **formats}, *_digest(rules, 1_000))


def snapshot(said: Inscription | None, *more: Operator) -> Snapshot:
    name = said.text() if said else "DataStreamToTable"
    return Snapshot("file:///s", 7, (Operator("a", CARRIER, name, 2, 128, 0), *more), {})


def test_the_table_of_formats_agrees_with_their_writers() -> None:
    assert {
        "lane": life._FOLDS_FORMAT,
        "block": life._BLOCK_FORMAT[0],
        "facts": facts.RARE_VERSION,
        "trace": trace_state.RARE_FORMAT,
        "many": many_lane.FORMAT,
        "said": contributions.VERSION,
        "minute": closed.CAPPED_FORMAT,
    }.items() <= WRITES.items()
    assert all(WRITES[name] in READS[name] for name in WRITES)


def test_what_is_written_can_be_read_again() -> None:
    assert Inscription.parse(inscription().text()) == inscription()
    assert Inscription.parse("correlate") is None


def test_state_of_this_build_under_the_same_rules_log_is_fit() -> None:
    assert problems_of(snapshot(inscription()), uids=[CARRIER], rules=[*RULES, b"later"]) == []


def test_a_snapshot_without_an_inscription_is_left_to_its_readers() -> None:
    assert problems_of(snapshot(None), uids=None, rules=[]) == []


@pytest.mark.parametrize(
    ("said", "rules", "problem"),
    [
        (inscription(lanes=64), RULES, "made with lanes 64; this build reads 32"),
        (inscription(trace=6), RULES, "made with trace 6; this build reads 1 or 2 or 3 or 4 or 5"),
        (inscription(window=1), RULES, "holds window state of format 1, unknown to this build"),
        (inscription(), (b"first", b"other"), "first 2 records of the rules log are not those"),
        (inscription(), (b"first",), "first 2 records of the rules log are not those"),
    ],
)
def test_what_differs_is_said(said: Inscription, rules: Sequence[bytes], problem: str) -> None:
    (found,) = problems_of(snapshot(said), uids=None, rules=rules)
    assert problem in found


def test_state_without_an_operator_and_other_key_groups_are_said() -> None:
    stray = Operator("b", "window", "window", 2, 64, size_bytes=9)
    problems = problems_of(snapshot(inscription(), stray), uids=[CARRIER], rules=RULES)
    assert len(problems) == 2
    assert "operators that this build does not have: window" in problems[0]
    assert "made with 64 key groups" in problems[1]


def test_a_refusal_names_the_next_step() -> None:
    refusal = str(SnapshotUnfit("file:///s", ["it is old"]))
    assert "file:///s cannot be restored: it is old. " in refusal
    assert "betrace job recover" in refusal


def test_the_job_carries_its_inscription_and_keeps_its_ids(connector: str) -> None:
    settings = JobSettings(
        kafka="127.0.0.1:9", input_prefix="betrace", output_prefix="betrace", group="detect"
    )
    said = inscription().text()
    environment = build(settings, partitions=32, jars=[connector], inscription=said)
    graph = stream_graph(environment._j_stream_execution_environment)
    named = {
        node.getTransformationUID(): node.getOperatorName()
        for node in graph.getStreamNodes().toArray()
    }
    assert named[CARRIER] == said
    assert set(named) == set(json.loads(GOLDEN.read_text()))
    assert replace(inscription(), formats={}).text() != said
