"""The Java runtime: found once, and started faster by archives of loaded classes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
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
    """Flags by which a JVM loads its classes from an archive, or can be told to write one.

    Half of a server's start is loading and verifying classes (Kafka: 7.5 s of CPU without,
    4.3 s with). Source: JEP 350, Dynamic CDS Archives.
    """
    archive = _archive(name, jars)
    quiet = ("-Xlog:cds=error", "-Xlog:cds+dynamic=error", "-Xshare:auto")
    if archive.exists():
        return (*quiet, f"-XX:SharedArchiveFile={archive}")
    return (*quiet, "-XX:+RecordDynamicDumpInfo")


def write_class_archive(pid: int, name: str, jars: Sequence[Path]) -> None:
    """Have a running JVM that was started with `class_archive` write the archive, once.

    It pauses for a second or two. If it cannot (a JRE has no `jcmd`), the next start is slower
    and nothing else.
    """
    archive = _archive(name, jars)
    jcmd = Path(java()).with_name("jcmd")
    if archive.exists() or not jcmd.exists():
        return
    ARCHIVES.mkdir(parents=True, exist_ok=True)
    temporary = ARCHIVES / f"{name}-{pid}.tmp"
    order = [str(jcmd), str(pid), "VM.cds", "dynamic_dump", str(temporary)]
    subprocess.run(order, capture_output=True, check=False, timeout=60)
    if temporary.exists():
        for outdated in ARCHIVES.glob(f"{name}-*.jsa"):
            outdated.unlink(missing_ok=True)
        temporary.replace(archive)


def _archive(name: str, jars: Sequence[Path]) -> Path:
    """Jars that changed have another archive."""
    stamps = "".join(f"{jar}{jar.stat().st_mtime_ns}" for jar in sorted(jars))
    key = hashlib.sha256((java() + stamps).encode()).hexdigest()[:12]
    return ARCHIVES / f"{name}-{key}.jsa"
