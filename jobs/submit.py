"""`python -m jobs.submit`: submit the job to a Flink cluster, and print its id.

Builds the package of Python sources and calls `flink run` of the installed wheel, or of
`--flink-home`. Arguments that are not listed by `--help` go to the job: see `jobs/settings.py`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from jobs.package import write_package

ROOT = Path(__file__).resolve().parent.parent
_SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""For the client, which plans one job and ends: 13 s of CPU time instead of 22 s."""

_JOB_ID = re.compile(r"JobID ([0-9a-f]{32})")
_REFUSAL = re.compile(r"^betrace refuses: (.*)$", re.MULTILINE)


class SubmitFailed(Exception):
    """Flink's client did not submit the job; the message is what it said."""


def submit(given: Namespace, job_arguments: Sequence[str]) -> str:
    """Submit the job and return its id. Raises SubmitFailed."""
    with TemporaryDirectory(prefix="betrace-job-") as folder:
        package = write_package(Path(folder) / "betrace.zip", root=ROOT)
        command = flink_run(given, job_arguments, package=package)
        environment = {
            "JVM_ARGS": _SHORT_LIVED,
            **os.environ,
            "PYTHONPATH": str(package),
        }
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = _JOB_ID.search(done.stdout)
    if done.returncode or found is None:
        raise SubmitFailed(what_was_said(f"{done.stdout}\n{done.stderr}"))
    return found.group(1)


def what_was_said(output: str) -> str:
    """Return our own refusal out of the output of Flink's client, or all of it."""
    refusal = _REFUSAL.search(output)
    return refusal.group(1) if refusal else output.strip()


def flink_run(given: Namespace, job_arguments: Sequence[str], *, package: Path) -> list[str]:
    """Return the command line of `flink run`."""
    command = [
        str(Path(given.flink_home) / "bin" / "flink"),
        "run",
        "--detached",
        "--jobmanager",
        given.flink,
        "--pyExecutable",
        given.python,
        "--pyClientExecutable",
        sys.executable,
        "--pyFiles",
        str(package),
    ]
    if given.from_savepoint:
        command += ["--fromSavepoint", given.from_savepoint]
    if given.jar:
        command += [f"-Dpipeline.jars={';'.join(jar_uri(jar) for jar in given.jar)}"]
    command += ["--python", str(ROOT / "jobs" / "detect.py")]
    return [*command, *job_arguments]


def jar_uri(jar: str) -> str:
    """Return the URI of a jar given as a path or as a URI."""
    return jar if ":/" in jar else Path(jar).resolve().as_uri()


def wheel_home() -> str:
    """Return the folder of the Flink that came with the wheel."""
    spec = find_spec("pyflink")
    if spec is None or spec.origin is None:
        raise SubmitFailed("apache-flink is not installed here; name a Flink with --flink-home")
    return str(Path(spec.origin).parent)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m jobs.submit", description="Submit the job to Flink.")
    add = parser.add_argument
    add("--flink", default="127.0.0.1:8081", help="host:port of the JobManager's REST API")
    add("--flink-home", default=os.environ.get("FLINK_HOME") or wheel_home())
    add("--python", default=sys.executable, help="interpreter on the TaskManagers")
    add("--from-savepoint", default="", help="savepoint or retained checkpoint to go on from")
    add("--jar", action="append", default=[], help="connector jar, if not in the cluster's lib")
    return parser


def main() -> int:
    """Submit, print the job's id, and return the exit code."""
    given, job_arguments = _parser().parse_known_args()
    try:
        print(submit(given, job_arguments))
    except SubmitFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
