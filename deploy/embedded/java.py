"""The Java runtime: found once, and started faster by archives of loaded classes."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from deploy.embedded.component import StartError
from deploy.embedded.settings import REPOSITORY

ARCHIVES = REPOSITORY / ".tools" / "cds"


def java() -> str:
    """Path of the `java` program. Raises StartError if there is none."""
    home = os.environ.get("JAVA_HOME")
    inside = Path(home) / "bin" / "java" if home else None
    if inside is not None and inside.exists():
        return str(inside)
    found = shutil.which("java")
    if found is None:
        raise StartError("no `java` found: install a JDK 17 (Debian: openjdk-17-jdk-headless)")
    return found


def class_archive(name: str, jars: Sequence[Path]) -> tuple[str, ...]:
    """Flags by which a JVM loads its classes from an archive, or writes that archive as it ends.

    Half of a server's start is loading and verifying classes (Kafka: 7.5 s of CPU without,
    4.3 s with). The archive's header is written last and the JVM checks it, so a torn one is
    passed over. Jars that changed have another archive.
    Source: JEP 350, Dynamic CDS Archives.
    """
    stamps = "".join(f"{jar}{jar.stat().st_mtime_ns}" for jar in sorted(jars))
    key = hashlib.sha256((java() + stamps).encode()).hexdigest()[:12]
    archive = ARCHIVES / f"{name}-{key}.jsa"
    quiet = ("-Xlog:cds=error", "-Xlog:cds+dynamic=error", "-Xshare:auto")
    if archive.exists():
        return (*quiet, f"-XX:SharedArchiveFile={archive}")
    ARCHIVES.mkdir(parents=True, exist_ok=True)
    for outdated in ARCHIVES.glob(f"{name}-*.jsa"):
        outdated.unlink(missing_ok=True)
    return (*quiet, f"-XX:ArchiveClassesAtExit={archive}")
