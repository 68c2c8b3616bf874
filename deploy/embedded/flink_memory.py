"""How large Flink's processes are to be: asked of Flink's own calculator, and remembered.

Flink's start scripts run this calculator, a JVM of its own, at every start. Its answer depends
on the configuration alone, so one answer lasts until the configuration changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.embedded.component import StartError
from deploy.embedded.java import java

_MARK = "BASH_JAVA_UTILS_EXEC_RESULT:"
_QUESTIONS = {"jobmanager": "GET_JM_RESOURCE_PARAMS", "taskmanager": "GET_TM_RESOURCE_PARAMS"}


@dataclass(frozen=True, slots=True)
class ProcessSize:
    """jvm: flags such as -Xmx; arguments: `-D` settings for the process's main class."""

    jvm: tuple[str, ...]
    arguments: tuple[str, ...]


def process_size(process: str, *, configuration: Path, flink_home: Path) -> ProcessSize:
    """Size of `jobmanager` or `taskmanager` under the folder `configuration`.

    Raises StartError with Flink's own words if the sizes asked for do not fit together.
    Source: flink-runtime, org.apache.flink.runtime.util.bash.BashJavaUtils.
    """
    text = (configuration / "config.yaml").read_text()
    key = hashlib.sha256(text.encode()).hexdigest()
    known = configuration / f"{process}-size.json"
    if known.exists():
        remembered = json.loads(known.read_text())
        if remembered["key"] == key:
            return ProcessSize(tuple(remembered["jvm"]), tuple(remembered["arguments"]))
    size = _ask(_QUESTIONS[process], configuration=configuration, flink_home=flink_home)
    temporary = known.with_name(f"{known.name}.{os.getpid()}")
    temporary.write_text(json.dumps({"key": key, **asdict(size)}))
    temporary.replace(known)
    return size


def _ask(question: str, *, configuration: Path, flink_home: Path) -> ProcessSize:
    jars = [flink_home / "bin" / "bash-java-utils.jar", *(flink_home / "lib").glob("*.jar")]
    done = subprocess.run(
        [
            java(),
            "-XX:TieredStopAtLevel=1",
            "-classpath",
            os.pathsep.join(str(jar) for jar in jars),
            "org.apache.flink.runtime.util.bash.BashJavaUtils",
            question,
            "--configDir",
            str(configuration),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    answers = [line.removeprefix(_MARK) for line in done.stdout.splitlines() if _MARK in line]
    if done.returncode != 0 or not answers:
        raise StartError(f"Flink refuses its configuration:\n{done.stdout}{done.stderr}")
    jvm, arguments = [*answers, ""][:2]
    return ProcessSize(jvm=tuple(jvm.split()), arguments=tuple(arguments.split()))
