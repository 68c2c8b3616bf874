"""Where the job goes on from."""

from __future__ import annotations

import os
from pathlib import Path

from deploy.embedded.job import newest_snapshot


def snapshot(folder: Path, *, age_s: int, complete: bool = True) -> Path:
    folder.mkdir(parents=True)
    if complete:
        metadata = folder / "_metadata"
        metadata.touch()
        os.utime(metadata, (1_000_000 - age_s,) * 2)
    return folder


def test_the_newest_complete_snapshot_is_taken_whatever_its_kind(tmp_path: Path) -> None:
    snapshot(tmp_path / "savepoints" / "savepoint-1", age_s=60)
    newest = snapshot(tmp_path / "checkpoints" / "job1" / "chk-7", age_s=10)
    snapshot(tmp_path / "checkpoints" / "job1" / "chk-6", age_s=20)
    snapshot(tmp_path / "checkpoints" / "job1" / "chk-8", age_s=0, complete=False)

    assert newest_snapshot(tmp_path) == newest


def test_a_job_that_never_made_a_snapshot_has_none(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "job1" / "shared").mkdir(parents=True)

    assert newest_snapshot(tmp_path) is None


def test_a_snapshot_older_than_a_recovery_is_left_alone(tmp_path: Path) -> None:
    snapshot(tmp_path / "savepoints" / "savepoint-1", age_s=60)

    assert newest_snapshot(tmp_path, since=1_000_000 - 59) is None
    assert newest_snapshot(tmp_path, since=1_000_000 - 60) is not None
