"""Another release of this program, for tests: the same sources but for the number of lanes."""

from __future__ import annotations

import shutil
from pathlib import Path

from deploy.embedded.settings import REPOSITORY

_PACKAGES = ("api", "deploy", "dsl", "jobs", "sql", "udfs")


def release_with_lanes(lanes: int, folder: Path) -> Path:
    """Write a release with so many lanes into a new folder; return the folder.

    It runs in the environment of this one, where what is compiled does not fit it: it is slow.
    """
    skipped = shutil.ignore_patterns("__pycache__", "node_modules", "static", "images")
    for package in _PACKAGES:
        shutil.copytree(REPOSITORY / package, folder / package, ignore=skipped)
    source = folder / "udfs" / "lanes.py"
    before, after = (f"\nLANES = {number}\n" for number in (32, lanes))
    text = source.read_text()
    assert before in text, "this build has another number of lanes than its tests expect"
    source.write_text(text.replace(before, after))
    return folder
