"""The Java runtime: found once, by JAVA_HOME or the PATH."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from deploy.embedded.component import StartError


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
