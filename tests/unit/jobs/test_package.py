"""The zip file that travels to the cluster, and the command line that takes it there."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from zipfile import ZipFile

from jobs.package import write_package
from jobs.submit import ROOT, flink_run


def test_the_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    first = write_package(tmp_path / "one.zip", root=ROOT)
    second = write_package(tmp_path / "two.zip", root=ROOT)
    assert first.read_bytes() == second.read_bytes()


def test_the_package_holds_the_job_and_nothing_else(tmp_path: Path) -> None:
    with ZipFile(write_package(tmp_path / "betrace.zip", root=ROOT)) as package:
        names = package.namelist()
    assert {name.split("/")[0] for name in names} == {"dsl", "udfs", "jobs"}
    assert {Path(name).suffix for name in names} == {".py"}


def test_the_operators_can_be_imported_from_the_package_alone(tmp_path: Path) -> None:
    package = write_package(tmp_path / "betrace.zip", root=ROOT)
    code = "import udfs.flink.correlate as c, udfs.flink.match, jobs.topology; print(c.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(package), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"{package}/udfs/flink/correlate.py"


def test_flink_run_is_told_interpreter_package_and_savepoint() -> None:
    given = Namespace(
        flink="jm:8081",
        flink_home="/opt/flink",
        python="/opt/venv/bin/python",
        from_savepoint="s3://savepoints/7",
        jar=["s3://jars/kafka.jar"],
    )
    command = flink_run(given, ["--kafka", "k:9092"], package=Path("/tmp/betrace.zip"))
    assert command == [
        "/opt/flink/bin/flink",
        "run",
        "--detached",
        "--jobmanager",
        "jm:8081",
        "--pyExecutable",
        "/opt/venv/bin/python",
        "--pyClientExecutable",
        sys.executable,
        "--pyFiles",
        "/tmp/betrace.zip",
        "--fromSavepoint",
        "s3://savepoints/7",
        "-Dpipeline.jars=s3://jars/kafka.jar",
        "--python",
        str(ROOT / "jobs" / "detect.py"),
        "--kafka",
        "k:9092",
    ]
