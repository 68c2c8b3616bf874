"""`betrace bench door | table | soak | giant`: runs of many rows, each printed as it comes.

An interrupt (Ctrl-C or SIGTERM) ends a run with what it has; exit code 130. With `--rows FILE`
every row is kept in a file as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType

from api.bench.door import ClientFailed
from api.bench.door_run import PATHS, REDACTION, SIZES, DoorSettings, measure_paths
from api.bench.door_steps import StepFailed
from api.bench.engine import RuleRefused
from api.bench.generator import GeneratorFailed
from api.bench.giant import GiantSettings, measure_giant
from api.bench.hours import measure_hours
from api.bench.machine import hardware
from api.bench.phases import NothingJudged
from api.bench.report_rows import door_rows, giant_rows, row_line, soak_table, table_rows
from api.bench.rows import Row, RowFile, RowsUnreadable, ended_like_an_interrupt
from api.bench.running import Wanted
from api.bench.soak import SoakRun, SoakSettings
from api.bench.stack import StackTrouble, own_stack, stack_of
from api.bench.table import TableSettings, losses, measure_table
from api.bench.topic import SpansLost

TROUBLE = (
    StackTrouble,
    GeneratorFailed,
    NothingJudged,
    ClientFailed,
    RuleRefused,
    RowsUnreadable,
    SpansLost,
    StepFailed,
)
_INTERRUPTED = 130

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]
Rules = Annotated[int, typer.Option(min=0, help="Rules of the mix: half on names present.")]
Structural = Annotated[
    int, typer.Option(min=0, help="How many of those ask where in the tree a span stands.")
]
Records = Annotated[int, typer.Option(min=1, help="Spans to a Kafka record.")]
Facts = Annotated[float, typer.Option(min=0, max=1, help="Share of spans that give facts.")]
Running = Annotated[
    bool, typer.Option("--running", help="Use the stack of this shell's variables (demo.env).")
]
Slots = Annotated[int, typer.Option(min=1, help="Flink task slots of an own stack.")]
Rate = Annotated[float, typer.Option(min=1, help="Spans per second.")]
Seed = Annotated[int, typer.Option(help="Of the load: equal seeds, equal traces.")]
Rows = Annotated[
    Path | None, typer.Option("--rows", help="Keep every row in this file, a line of JSON each.")
]


def door(
    *,
    seconds: Annotated[float, typer.Option(min=1, help="Of each path and size.")] = 15.0,
    spans: Annotated[str, typer.Option(help="Spans to a request, several with commas.")] = SIZES,
    paths: Annotated[str, typer.Option(help="Of http, grpc, json, kafka, with commas.")] = PATHS,
    clients: Annotated[int, typer.Option(min=1, help="Sending processes.")] = 1,
    connections: Annotated[
        int, typer.Option(min=0, help="Of each process; 0: as many as keep the door busy.")
    ] = 0,
    redaction: Annotated[
        str, typer.Option(help="on, off, or both with a comma, each on a stack of its own.")
    ] = "on",
    rows: Rows = None,
    running: Running = False,
    as_json: AsJson = False,
) -> None:
    """Measure the OTLP door beside plain writing to Kafka, and what each step of it costs."""
    with _reported():
        settings = DoorSettings(
            seconds=seconds,
            sizes=_numbers(spans),
            paths=_words(paths, of=PATHS),
            clients=clients,
            connections=connections,
            redaction=_words(redaction, of=REDACTION),
        )
        file = RowFile(rows)
        found, interrupted = _collect(
            measure_paths(
                settings,
                lambda variables: stack_of(1, running=running, variables=variables),
                rows=file,
                say=say,
            ),
            "door",
        )
    _print(as_json, lambda: {"door": found}, lambda: door_rows(found, hardware=hardware()))
    raise typer.Exit(_INTERRUPTED if interrupted else 0)


def table(
    *,
    rules: Annotated[str, typer.Option(help="Rule counts, with commas.")] = "0,10,100,1000",
    slots: Annotated[str, typer.Option(help="Flink task slots, with commas.")] = "1,2",
    seconds: Annotated[float, typer.Option(min=10, help="For which a rate must be held.")] = 20.0,
    cell_seconds: Annotated[
        float, typer.Option(min=30, help="A cell's, between warm-up and completion.")
    ] = 210.0,
    record_spans: Records = 512,
    facts_share: Facts = 0.2,
    rate: Annotated[
        float, typer.Option(min=0, help="Spans per second to hold in all cells; 0: find it.")
    ] = 0.0,
    warm_up: Annotated[float, typer.Option(min=5, help="Seconds, of each new stack.")] = 60.0,
    seed: Seed = 1,
    rows: Rows = None,
    as_json: AsJson = False,
) -> None:
    """Find the sustained rate for numbers of rules and slots.

    Cells that the file of --rows has already are not measured again. Exit 1 if precision or recall
    of a cell is below 1, or no rate was sustained in it.
    """
    with _reported():
        settings = TableSettings(
            rules=_numbers(rules),
            slots=_numbers(slots),
            seconds=seconds,
            cell_s=cell_seconds,
            record_spans=record_spans,
            facts_share=facts_share,
            rate=rate,
            seed=seed,
            stack_warm_up_s=warm_up,
        )
        cells = measure_table(
            settings, lambda count: own_stack(slots=count), rows=RowFile(rows), say=say
        )
        found, interrupted = _collect(cells, "table")
    lost = {str(count): round(share, 4) for count, share in losses(found).items()}
    _print(
        as_json,
        lambda: {"table": found, "lost_from_10_to_1000_rules": lost},
        lambda: table_rows(found, hardware=hardware()),
    )
    right = all(row["precision"] == row["recall"] == 1.0 and row["sustained_flat"] for row in found)
    raise typer.Exit(_INTERRUPTED if interrupted else 0 if right else 1)


def soak(
    *,
    rate: Rate,
    minutes: Annotated[float, typer.Option(min=0.1, help="Measured, after the warm-up.")] = 10.0,
    warm_up_minutes: Annotated[float, typer.Option(min=0.1, help="Before them.")] = 5.0,
    rules: Rules = 100,
    slots: Slots = 2,
    record_spans: Records = 512,
    facts_share: Facts = 0.2,
    seed: Seed = 1,
    rows: Rows = None,
    running: Running = False,
    as_json: AsJson = False,
) -> None:
    """Hold one rate for minutes, and tell what grows meanwhile.

    Exit 1 if a figure grows, precision or recall is below 1, or something was left behind.
    """
    wanted = Wanted(
        rate=rate, rules=rules, record_spans=record_spans, facts_share=facts_share, seed=seed
    )
    settings = SoakSettings(wanted=wanted, minutes=minutes, warm_up_minutes=warm_up_minutes)
    interrupted = False
    with _reported():
        run = SoakRun(settings, rows=RowFile(rows))
        try:
            say("starting the stack")
            with ended_like_an_interrupt(), stack_of(slots, running=running) as stack:
                run.run(stack, say=say)
        except KeyboardInterrupt:
            interrupted = True
    found = run.result()
    _print(as_json, found.to_dict, lambda: soak_table(found, hardware=hardware()))
    good = found.verdict == "flat" and found.end is not None and found.end.right
    raise typer.Exit(_INTERRUPTED if interrupted else 0 if good else 1)


def giant(
    *,
    rate: Rate,
    seconds: Annotated[float, typer.Option(min=5, help="Of each part, at least.")] = 60.0,
    spans: Annotated[int, typer.Option(min=1_000, help="Of the giant trace.")] = 100_000,
    hours: Annotated[
        float, typer.Option(min=0, help="Of event time, in process; 0: leave that out.")
    ] = 3.0,
    rules: Annotated[int, typer.Option(min=1, help="Rules of the mix.")] = 100,
    slots: Slots = 2,
    record_spans: Records = 512,
    facts_share: Facts = 0.2,
    warm_up: Annotated[float, typer.Option(min=5, help="Seconds.")] = 90.0,
    seed: Seed = 1,
    rows: Rows = None,
    running: Running = False,
    as_json: AsJson = False,
) -> None:
    """Measure the delays of ordinary traces beside a giant one and beside one that lives long.

    Exit 1 if any verdict is wrong.
    """
    wanted = Wanted(
        rate=rate,
        rules=rules,
        record_spans=record_spans,
        facts_share=facts_share,
        giant_spans=spans,
        seed=seed,
    )
    settings = GiantSettings(wanted=wanted, seconds=seconds, warm_up_s=warm_up)

    def parts() -> Iterator[Row]:
        say("starting the stack")
        with stack_of(slots, running=running) as stack:
            yield from measure_giant(settings, stack, say=say)
        if hours:
            say(f"{hours:g} hours of event time, in process")
            yield measure_hours(hours).to_row()

    with _reported():
        found, interrupted = _collect(parts(), "giant", rows_file=RowFile(rows))
    _print(as_json, lambda: {"giant": found}, lambda: giant_rows(found, hardware=hardware()))
    wrong = any(
        row[name] != 1.0
        for row in found
        for name in ("precision", "recall", "long_precision", "long_recall")
        if name in row
    )
    wrong = wrong or any(not row["giant_right"] for row in found if "giant_right" in row)
    raise typer.Exit(_INTERRUPTED if interrupted else 1 if wrong else 0)


def say(text: str) -> None:
    """Tell how a run goes on, apart from its result."""
    typer.echo(text, err=True)


def failed(error: Exception) -> typer.Exit:
    """Say why nothing was measured, and return what to raise."""
    typer.echo(f"betrace bench: {error}", err=True)
    return typer.Exit(2)


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except TROUBLE as error:
        raise failed(error) from error


def _collect(
    rows: Iterator[Row], kind: str, *, rows_file: RowFile | None = None
) -> tuple[list[Row], bool]:
    """Take rows as they come; also return whether an interrupt ended them."""
    found: list[Row] = []
    try:
        with ended_like_an_interrupt():
            for row in rows:
                found.append(row)
                if rows_file is not None:
                    rows_file.add(row)
                say(row_line(kind, row))
    except KeyboardInterrupt:
        say("interrupted: this is what there is")
        return found, True
    return found, False


def _print(
    as_json: bool, result: Callable[[], dict[str, Any]], shown: Callable[[], RenderableType]
) -> None:
    if as_json:
        typer.echo(json.dumps(result() | {"hardware": hardware()}))
    else:
        Console().print(shown())


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no list of numbers, such as 20,512") from error


def _words(text: str, *, of: str) -> tuple[str, ...]:
    words = tuple(text.split(","))
    unknown = [word for word in words if word not in of.split(",")]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {of}")
    return words
