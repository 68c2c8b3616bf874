"""`betrace rules cases`: rules held to the cases that a server keeps of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from api.command.rules_test import TestFormat, as_json, as_text, told_of
from api.command.terminal import say

if TYPE_CHECKING:
    from api.command.server import Server


def cases(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Rules to be held to the cases of those with their ids; without any file the "
            "saved rules are, all of them.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    rule: Annotated[
        str, typer.Option(help="Id of the rule whose text the file holds. [the file's name]")
    ] = "",
    output: Annotated[
        TestFormat, typer.Option("--format", help="text, json or junit.")
    ] = TestFormat.TEXT,
    url: Annotated[str, typer.Option(envvar="BETRACE_URL", help="Of the server.")] = "",
    key: Annotated[
        str, typer.Option(envvar="BETRACE_API_KEY", help="An API key.", show_envvar=True)
    ] = "",
) -> None:
    """Run the cases that a server keeps: what rules have to say of which sample traces.

    Every run is put on record there, as evidence of how rules are changed.

    Exit 0: all passed. 1: a case failed. 2: refused, or no server.
    """
    from api.command.junit import Suite, junit
    from api.command.server import server

    with server(url, key) as asked:
        runs = _of_files(asked, files, rule=rule) if files else [asked.post("/test-runs")]
    suites = [
        Suite(run["rule_id"] or "all rules", tuple(map(_result, run["results"])), ())
        for run in runs
    ]
    match output:
        case TestFormat.TEXT:
            say(as_text(suites))
        case TestFormat.JSON:
            typer.echo(json.dumps({**as_json(suites), "runs": [run["id"] for run in runs]}))
        case TestFormat.JUNIT:
            typer.echo(junit(suites, why=told_of))
    if any(suite.failed or suite.broken for suite in suites):
        raise typer.Exit(1)


def _of_files(asked: Server, files: list[Path], *, rule: str) -> list[dict[str, Any]]:
    """Run the cases of the rules in files, each by its text there; those without cases are told."""
    from api.command.backtesting import read_rules
    from api.command.server import Refused

    runs = []
    for one in read_rules(files, rule=rule):
        path = f"/rules/{quote(one['id'], safe='')}/test-runs"
        try:
            runs.append(asked.post(path, {"rule": one["rule"]}))
        except Refused as refusal:
            if refusal.body.get("code") not in ("case.none", "request.not_found"):
                raise
            typer.echo(f"{one['id']}: no case is kept of it", err=True)
    return runs


def _result(result: dict[str, Any]) -> Any:
    from dsl.suites import TestResult

    return TestResult(
        name=result["case_name"],
        rule=result["rule_id"],
        expect=result["expect"],
        verdict=result["verdict"],
        passed=result["passed"],
        explain=result["explanation"] or {},
    )
