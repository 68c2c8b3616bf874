"""The command line of the embedded stack: thin callers of `Stack`, and what they print."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deploy.embedded.assembly import components
from deploy.embedded.layout import Layout
from deploy.embedded.progress import Progress
from deploy.embedded.settings import APPS, DEMO, SERVERS, StackSettings
from deploy.embedded.stack import Stack, StackError
from deploy.embedded.state import Phase
from deploy.embedded.supervisor import supervise as run_supervisor

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

COLOURS = {Phase.READY: "green", Phase.DONE: "green", Phase.FAILED: "red"}


@app.command()
def up(
    *,
    demo: Annotated[bool, typer.Option(help="Send demo traffic as well.")] = False,
    servers: Annotated[
        bool, typer.Option(help="Only Postgres, Kafka and Flink, none of our own processes.")
    ] = False,
    postgres: Annotated[bool, typer.Option(help="Only Postgres, with an empty database.")] = False,
) -> None:
    """Start the stack and return when it is ready."""
    chosen = SERVERS if servers else (*SERVERS, *APPS, *(DEMO if demo else ()))
    if postgres:
        chosen = ("postgres",)
    stack = _stack(chosen)
    console = Console()
    with Progress(console, stack.layout) as progress:
        try:
            stack.up(on_change=progress.show)
        except StackError as error:
            _fail(error)
    _tell(stack, console)


@app.command()
def down() -> None:
    """Stop what `up` started; data are kept."""
    stack = _stack(())
    begun = time.monotonic()
    try:
        stopped = stack.down()
    except StackError as error:
        _fail(error)
    took_s = time.monotonic() - begun
    print(f"Stopped in {took_s:.0f} s; data are kept." if stopped else "Nothing was running.")


@app.command()
def status() -> None:
    """Print a table of the components; exit code 1 unless all of them are well."""
    stack = _stack(())
    state = stack.state()
    if state is None:
        print("Nothing is running.")
        raise typer.Exit(1)
    alive = state.supervisor.alive()
    table = Table("component", "state", "pid", "since", "restarts", "last trouble", box=None)
    for name, row in state.components.items():
        phase = row.phase if alive or row.phase is Phase.DONE else Phase.STOPPED
        table.add_row(
            name,
            f"[{COLOURS.get(phase, 'yellow')}]{phase}[/]",
            str(row.process.pid) if row.process and row.process.alive() else "",
            time.strftime("%H:%M:%S", time.localtime(row.since)),
            str(row.restarts or ""),
            row.detail.partition("\n")[0],
        )
    Console().print(table)
    if not alive:
        print("The supervisor is gone: `make demo` clears up and starts again.")
    raise typer.Exit(0 if alive and state.all_good else 1)


@app.command(hidden=True)
def supervise(home: Path) -> None:
    """Be the supervisor of the stack in HOME; `up` starts this, detached."""
    layout = Layout(home)
    settings = StackSettings.from_json(layout.settings.read_text())
    raise typer.Exit(run_supervisor(layout, lambda: components(settings, layout)))


def _tell(stack: Stack, console: Console) -> None:
    """Where everything is, and how to stop it."""
    known = stack.environment()
    rows = [
        ("web", known["BETRACE_URL"] if "api" in stack.settings.components else ""),
        ("login", " / ".join(known.get(n, "") for n in ("BETRACE_LOGIN", "BETRACE_PASSWORD"))),
        ("API key", known.get("BETRACE_API_KEY", "")),
        ("OTLP/HTTP", known["BETRACE_OTLP_HTTP"] if "BETRACE_API_KEY" in known else ""),
        ("OTLP/gRPC", known["BETRACE_OTLP_GRPC"] if "BETRACE_API_KEY" in known else ""),
        ("Kafka", known["BETRACE_KAFKA"]),
        ("Flink", known["BETRACE_FLINK"]),
        ("variables", f". {_short(stack.layout.env_file)}"),
        ("stop", "make down"),
    ]
    console.print()
    for title, value in rows:
        if value.strip(" /"):
            console.print(f"  {title:<10} {value}", highlight=False, soft_wrap=True)
    console.print()


def _short(path: Path) -> str:
    """A path as seen from here, where that is shorter."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _stack(chosen: tuple[str, ...]) -> Stack:
    try:
        settings = StackSettings.from_environment(components=chosen)
    except ValueError as error:
        _fail(error)
    return Stack(home=settings.home, settings=settings)


def _fail(error: Exception) -> None:
    print(f"\n{error}", file=sys.stderr)
    raise typer.Exit(1)
