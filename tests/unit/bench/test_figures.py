"""Figures are computed as they are named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.bench.door_client import DoorClientSettings, requests_of
from api.bench.machine import hardware, usage_by_group
from api.bench.phases import Delays, Point, processed_per_s
from api.bench.stack import StackTrouble, read_variables


def test_percentiles_are_nearest_rank() -> None:
    assert Delays.of(range(1, 101)) == Delays(100, 50, 95, 99, 100)
    assert Delays.of([7.0]) == Delays(1, 7, 7, 7, 7)
    assert Delays.of([]) == Delays(0, 0, 0, 0, 0)


def test_what_is_processed_counts_from_the_first_point_to_the_last() -> None:
    points = [Point(at_ms=t * 1000, lag_ms=0, sent=0, processed=t * 50.0) for t in range(11)]
    assert processed_per_s(points) == 50.0
    assert processed_per_s(points[:1]) == 0.0


def test_a_group_uses_what_its_processes_use() -> None:
    worker = "sum(i * i for i in range(3_000_000)); print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", worker], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = usage_by_group({"worker": child.pid, "gone": 2**22 + 1})
        child.communicate(b"\n")
    assert found.keys() == {"worker"}
    assert found["worker"].cpu_s > 0
    assert found["worker"].rss_bytes > 1 << 20


def test_hardware_names_cores_and_memory() -> None:
    assert hardware().startswith(f"{os.cpu_count()} × ")


def test_variables_are_read_as_a_shell_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "demo.env"
    file.write_text("# a comment\nexport A=1\nB='two words'\nC=x=y\n")
    assert read_variables(file) == {"A": "1", "B": "two words", "C": "x=y"}
    with pytest.raises(StackTrouble, match="cannot be read"):
        read_variables(tmp_path / "none")


@pytest.mark.parametrize("protocol", ["http", "json"])
def test_requests_of_the_door_are_full_and_taken_apart_by_the_door(protocol: str) -> None:
    settings = DoorClientSettings(protocol, "http://127.0.0.1:1", "", 1.0, 1, 64, requests=4)
    bodies = requests_of(settings)
    assert len(bodies) >= 3
    assert len(set(bodies)) == len(bodies)
