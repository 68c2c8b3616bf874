"""What a process had in hand is known when it is gone, and only then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from udfs.flink.in_hand import CORRELATE, MATCH, Note, fallen, open_note
from udfs.wire import betrace_pb2 as wire

ROOT = Path(__file__).resolve().parents[3]
RECORD = {"lane": 7, "partition": 3, "offset": 2**40, "time_ms": 1_700_000_000_000, "tenant": "t"}
SEGFAULT = "import ctypes; ctypes.string_at(0)"
NO_MEMORY = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
EXIT = "import os; os._exit(3)"


def die(folder: Path, *steps: str) -> None:
    """Let a process keep notes and end."""
    prelude = f"""
from pathlib import Path
from udfs.flink.in_hand import Note
folder = Path({str(folder)!r})
match, correlate = Note(folder, "match"), Note(folder, "correlate")
record = {RECORD!r}
"""
    program = prelude + "\n".join(steps)
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode != 0


def found(folder: Path) -> list[dict[str, object]]:
    return [
        {
            "lane": death.lane,
            "partition": death.partition,
            "offset": death.offset,
            "time_ms": death.time_ms,
            "tenant": death.tenant,
        }
        for death in fallen(folder)
    ]


@pytest.mark.parametrize("way", [SEGFAULT, NO_MEMORY, EXIT])
def test_a_process_that_died_of_a_record_is_found_once(tmp_path: Path, way: str) -> None:
    die(tmp_path, "match.take(**record)", way)
    assert found(tmp_path) == [RECORD]
    assert found(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_had_nothing_in_hand_died_of_something_else(tmp_path: Path) -> None:
    die(tmp_path, "match.take(**record)", "match.put_down()", EXIT)
    assert found(tmp_path) == []


def test_a_death_with_two_things_in_hand_counts_for_nobody(tmp_path: Path) -> None:
    die(tmp_path, "correlate.busy()", "match.take(**record)", EXIT)
    assert found(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_every_death_is_a_process_of_its_own(tmp_path: Path) -> None:
    for _ in range(2):
        die(tmp_path, "match.take(**record)", EXIT)
    assert len({death.process for death in fallen(tmp_path)}) == 2


def test_a_living_process_is_left_alone(tmp_path: Path) -> None:
    note = Note(tmp_path, MATCH)
    note.take(**RECORD)  # type: ignore[arg-type]
    assert found(tmp_path) == []
    note.close()
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_work_goes_on(tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.touch()
    note = open_note(blocked / "notes", CORRELATE)
    note.busy()
    note.put_down()
    note.close()
    assert fallen(blocked / "notes") == []


def test_a_long_name_is_cut_and_harms_nothing(tmp_path: Path) -> None:
    die(tmp_path, "match.take(**{**record, 'tenant': 'x' * 1_000})", EXIT)
    (death,) = fallen(tmp_path)
    assert isinstance(death, wire.Death)
    assert set(death.tenant) == {"x"}
