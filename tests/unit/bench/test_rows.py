"""Rows are kept as they come and found again; an end by SIGTERM is an interrupt."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from api.bench.rows import RowFile, RowsUnreadable, ended_like_an_interrupt


def test_rows_are_found_by_the_fields_that_tell_which_they_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    file = RowFile(path)
    file.add({"rules": 10, "slots": 1, "rate": 1})
    file.add({"rules": 10, "slots": 1, "rate": 2})
    file.add({"rules": 10, "slots": 2, "rate": 3})
    again = RowFile(path)
    assert again.find({"rules": 10, "slots": 1}) == {"rules": 10, "slots": 1, "rate": 2}
    assert again.find({"rules": 100, "slots": 1}) is None
    assert again.rows == file.rows


def test_without_a_path_rows_are_kept_in_memory_only() -> None:
    file = RowFile(None)
    file.add({"part": "alone"})
    assert file.find({"part": "alone"}) == {"part": "alone"}


@pytest.mark.parametrize("content", ["[1]\n", "{", "no rows\n"])
def test_a_file_of_other_things_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(content)
    with pytest.raises(RowsUnreadable, match=r"rows\.jsonl"):
        RowFile(path)


def test_sigterm_interrupts_and_is_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), ended_like_an_interrupt():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
