"""The ids under which state is found again. A change here loses the state of running jobs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.settings import JobSettings
from jobs.topology import build
from jobs.uids import operator_uids, stream_graph

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "jobs" / "operator_ids.json"
SETTINGS = JobSettings(
    kafka="127.0.0.1:9", input_prefix="betrace", output_prefix="betrace", group="detect"
)


@pytest.mark.parametrize("parallelism", [1, 2])
def test_every_operator_has_the_id_on_record(connector: str, parallelism: int) -> None:
    settings = replace(SETTINGS, parallelism=parallelism)
    environment = build(settings, partitions=32, jars=[connector])
    graph = stream_graph(environment._j_stream_execution_environment)
    assert operator_uids(graph) == json.loads(GOLDEN.read_text())
