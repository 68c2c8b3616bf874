"""`betrace rules backtest`: what rules would have said of recorded traces, and what differs."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Final

import typer

from api.command.files import Files
from api.command.terminal import say

_NOT_DONE: Final = 3


class FailOn(StrEnum):
    """What ends the command with exit code 1."""

    VIOLATED = "violated"
    NEW = "new"
    LOST = "lost"
    CHANGED = "changed"


def backtest(
    files: Files,
    *,
    from_time: Annotated[
        str, typer.Option("--from", help="A time ago such as 2h, or 2026-11-23T12:00:00Z.")
    ] = "1h",
    to_time: Annotated[str, typer.Option("--to", help="The same, or now.")] = "now",
    against: Annotated[
        str,
        typer.Option(
            help="live: the saved rules of the same ids; nothing; a version's number; a file.",
            metavar="live|nothing|NUMBER|FILE",
        ),
    ] = "live",
    rule: Annotated[
        str, typer.Option(help="Id of the rule whose text the file holds. [the file's name]")
    ] = "",
    examples: Annotated[int, typer.Option(min=0, help="Traces shown of each change.")] = 3,
    fail_on: Annotated[
        list[FailOn] | None,
        typer.Option(
            help="Exit 1 if a trace is violated; is violated now and was not (new); was and is not "
            "(lost); is judged otherwise at all (changed). May be repeated."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object: the backtest and its results.")
    ] = False,
    url: Annotated[str, typer.Option(envvar="BETRACE_URL", help="Of the server.")] = "",
    key: Annotated[
        str, typer.Option(envvar="BETRACE_API_KEY", help="An API key.", show_envvar=True)
    ] = "",
) -> None:
    """Judge recorded traces by rules that are not live yet, and show what would change.

    A file holds rule objects (YAML or JSON) or the text of one rule, which then has the other
    fields of the saved rule. Ctrl-C calls the backtest off.

    Exit 0: done. 1: something of --fail-on was found. 2: refused, or no server. 3: it failed, or
    was called off by somebody else. 130: called off by Ctrl-C.
    """
    from api.command.backtest_report import report
    from api.command.backtesting import found, read_against, read_results, read_rules, watch
    from api.command.server import server

    request = {
        "rules": read_rules(files, rule=rule),
        "from": from_time,
        "to": to_time,
        "against": read_against(against, files, rule=rule),
    }
    with server(url, key) as asked:
        done = watch(asked, asked.post("/backtests", request), quiet=as_json)
        results = read_results(asked, done) if done["state"] != "failed" else None
    if as_json:
        typer.echo(json.dumps({"backtest": done, "results": results}))
    else:
        say(report(done, results, examples=examples))
    if done["state"] != "done":
        raise typer.Exit(_NOT_DONE)
    if any(found(done, what) for what in fail_on or ()):
        raise typer.Exit(1)
