"""`betrace job`: the detect job on a cluster, or on the embedded stack of BETRACE_HOME."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from api.job.alarms import alarms
from api.job.embedded import EmbeddedStack
from api.job.figures import JobFigures, Kafka, read_figures
from api.job.flink import Flink
from api.job.operations import Operator, Outcome, Resharding, moment_text
from api.job.submission import Client
from api.kafka.topics import TopicNames
from api.settings import load_settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The job that judges. Addresses come from BETRACE_FLINK and BETRACE_KAFKA.",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Python = Annotated[
    str, typer.Option("--python", help="Interpreter on the TaskManagers [that of this command].")
]
FlinkHome = Annotated[
    str, typer.Option("--flink-home", help="Flink of the client [that of the wheel].")
]
Snapshot = Annotated[str, typer.Argument(metavar="SAVEPOINT", help="URI or path.")]


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say how the job does. Exit 1 if something needs a person."""
    settings = load_settings()
    flink = Flink(settings.flink)
    kafka = Kafka(settings.kafka, TopicNames(settings.topic_prefix))
    figures = read_figures(flink, kafka, topic_prefix=settings.topic_prefix)
    flink.close()
    wrong = alarms(figures)
    if as_json:
        typer.echo(json.dumps({**asdict(figures), "alarms": wrong}))
    else:
        for name, value in _rows(figures):
            typer.echo(f"{name:12} {value}")
        for alarm in wrong:
            typer.echo(f"ALARM        {alarm}", err=True)
    raise typer.Exit(1 if wrong else 0)


@app.command()
def savepoint(
    folder: Annotated[
        str | None, typer.Option("--to", help="URI of a folder [the cluster's own].")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a savepoint beside the running job, and print its address."""
    with _operator() as operator:
        address = operator.save(folder=folder)
    typer.echo(json.dumps({"savepoint": address}) if as_json else address)


@app.command()
def check(
    snapshot: Snapshot, python: Python = "", flink_home: FlinkHome = "", as_json: AsJson = False
) -> None:
    """Say whether this build can go on from a savepoint or checkpoint. Exit 1 if it cannot."""
    with _operator(python=python, flink_home=flink_home) as operator:
        report = operator.check(snapshot)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _tell_report(report)
    raise typer.Exit(1 if report["problems"] else 0)


@app.command()
def upgrade(
    accept_gap: Annotated[
        bool, typer.Option("--accept-gap", help="Go on although spans have expired.")
    ] = False,
    python: Python = "",
    flink_home: FlinkHome = "",
    as_json: AsJson = False,
) -> None:
    """Replace the running job by the one of this build, with its state. Prints the downtime."""
    with _operator(python=python, flink_home=flink_home) as operator:
        outcome = operator.upgrade(accept_gap=accept_gap)
    _tell_outcome(outcome, as_json=as_json)


@app.command()
def rescale(
    parallelism: Annotated[int, typer.Argument(min=1, help="Tasks of every operator.")],
    python: Python = "",
    flink_home: FlinkHome = "",
    as_json: AsJson = False,
) -> None:
    """Spread the job over more or fewer slots, with its state. Prints the downtime."""
    with _operator(python=python, flink_home=flink_home) as operator:
        outcome = operator.upgrade(parallelism=parallelism)
    _tell_outcome(outcome, as_json=as_json)


@app.command()
def recover(
    lost_at: Annotated[
        datetime | None,
        typer.Option(help="From when on verdicts are missing, UTC [where the job had come]."),
    ] = None,
    python: Python = "",
    flink_home: FlinkHome = "",
    as_json: AsJson = False,
) -> None:
    """Begin anew from the log: for state that is lost, unreadable, or of other lanes.

    The job that runs is cancelled. Reading begins so far back that everything that was open is
    judged again; equal verdicts are written under the same ids.
    """
    lost_at_ms = int(lost_at.replace(tzinfo=UTC).timestamp() * 1000) if lost_at else None
    with _operator(python=python, flink_home=flink_home) as operator:
        outcome = operator.recover(lost_at_ms=lost_at_ms)
    _tell_outcome(outcome, as_json=as_json)


@app.command()
def reshard(
    parallelism: Annotated[
        int | None, typer.Option(min=1, help="Tasks of every operator [as before].")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done.")] = False,
    python: Python = "",
    flink_home: FlinkHome = "",
    as_json: AsJson = False,
) -> None:
    """Begin anew with the lanes of this build, by replay; for a release that has others.

    The job that runs is stopped with a savepoint, to which its own release can go back. Reading
    begins as far back as with `recover`. Prints the downtime.
    """
    with _operator(python=python, flink_home=flink_home) as operator:
        planned = operator.plan_reshard(parallelism=parallelism)
        if plan:
            _tell_resharding(planned, as_json=as_json)
            return
        outcome = operator.reshard(planned)
    _tell_outcome(outcome, as_json=as_json)


@contextmanager
def _operator(*, python: str = "", flink_home: str = "") -> Iterator[Operator]:
    settings = load_settings()
    stack = EmbeddedStack(os.environ.get("BETRACE_HOME", ""), settings.flink)
    flink = Flink(settings.flink)
    try:
        yield Operator(
            flink=flink,
            client=Client(
                settings.flink,
                python=python,
                flink_home=flink_home,
                environment={"BETRACE_KAFKA": settings.kafka, **stack.client_environment},
            ),
            stack=stack,
            topic_prefix=settings.topic_prefix,
            say=lambda text: print(f"{text} …", file=sys.stderr, flush=True),
        )
    finally:
        flink.close()


def _rows(figures: JobFigures) -> list[tuple[str, str]]:
    """Return what a person wants to see, without what is not known."""
    newest = figures.checkpoints
    largest = max(figures.rss_bytes, default=0)
    rows = [
        ("job", f"{figures.job_id or 'none'} {figures.state.lower()}"),
        ("parallelism", str(figures.parallelism or "")),
        ("restarts", str(figures.restarts or "")),
        ("heartbeat", _ago(figures.at_ms, figures.heartbeat_ms)),
        ("watermark", _ago(figures.at_ms, figures.watermark_ms)),
        ("lag", "" if figures.lag_records is None else f"{figures.lag_records} records"),
        (
            "checkpoint",
            f"{_ago(figures.at_ms, newest.newest_at_ms)}, took {newest.newest_duration_ms} ms, "
            f"{newest.newest_bytes} bytes; {newest.completed} complete, {newest.failed} failed"
            if newest.newest_at_ms
            else "",
        ),
        ("workers", f"{len(figures.rss_bytes)}, up to {largest >> 20} MiB" if largest else ""),
        (
            "rules",
            f"read to {figures.rules_read} of {figures.rules_end} everywhere"
            if figures.rules_read is not None
            else "",
        ),
    ]
    return [(name, value) for name, value in rows if value]


def _ago(now_ms: int, then_ms: int | None) -> str:
    return "" if then_ms is None else f"{max(now_ms - then_ms, 0) / 1000:.1f} s ago"


def _tell_report(report: dict[str, Any]) -> None:
    typer.echo(f"snapshot     {report['snapshot']}")
    if says := report.get("says"):
        formats = ", ".join(f"{name} {version}" for name, version in says["formats"].items())
        typer.echo(f"formats      {formats}")
        typer.echo(f"rules log    {says['rules_count']} records, {says['rules_digest']}")
    for operator in report.get("operators", ()):
        typer.echo(
            f"state        {operator['uid']}: {operator['size_bytes']} bytes, "
            f"parallelism {operator['parallelism']}"
        )
    for problem in report["problems"]:
        typer.echo(f"PROBLEM      {problem}", err=True)
    if not report["problems"]:
        typer.echo("this build can go on from it")


def _tell_resharding(planned: Resharding, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(planned)))
        return
    typer.echo(f"lanes        {planned.lanes_before} in the job's state, {planned.lanes} here")
    typer.echo(f"parallelism  {planned.parallelism}")
    typer.echo(f"replay       from {moment_text(planned.start_ms)}")


def _tell_outcome(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(outcome)))
        return
    steps = ", ".join(f"{name} {took_s} s" for name, took_s in outcome.timing.steps.items())
    typer.echo(f"job {outcome.job_id} runs")
    if outcome.savepoint:
        typer.echo(f"savepoint {outcome.savepoint}")
    typer.echo(f"nothing was judged for {outcome.timing.down_s} s ({steps})")
