"""The Python sources that a Flink cluster needs, as one zip file for `-pyfs`.

The libraries they import are not in it: they belong to the Python environment that `-pyexec`
names on every TaskManager.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

PACKAGES = ("dsl", "udfs", "jobs")
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_package(target: Path, *, root: Path) -> Path:
    """Write the sources below root into a zip file and return its path.

    The same sources give the same bytes, so that a changed package is a changed job.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(target, "w", ZIP_DEFLATED) as package:
        for source in _sources(root):
            entry = ZipInfo(source.relative_to(root).as_posix(), date_time=_EPOCH)
            entry.external_attr = 0o644 << 16
            package.writestr(entry, source.read_bytes(), ZIP_DEFLATED)
    return target


def _sources(root: Path) -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((root / package).rglob("*.py"))
