"""Asking a server for a backtest, waiting for it, and judging what came out by --fail-on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import typer

from api.command.backtest_report import Watching
from api.command.files import read_text
from api.command.rules_check import check_file
from api.command.server import Refused, Server, Unreachable
from api.command.terminal import paint, say
from api.errors import OperatorError
from dsl.objects import parse_rules
from dsl.rendering import render
from dsl.rule_texts import holds_objects

INTERRUPTED: Final = 130
_POLL_S: Final = 0.5
_CANCEL_S: Final = 15.0
_PAGE: Final = 500
_SILENT_POLLS: Final = 40
"""A server that is away for so many polls is given up; the backtest goes on."""


def read_rules(files: Sequence[Path], *, rule: str) -> list[dict[str, Any]]:
    """Return the rules of files as a request has them. Ends the command if one does not check."""
    bad = [checked for file in files if (checked := check_file(file, compare=False)).problems]
    for one in bad:
        text = render(one.text, one.problems, name=str(one.file), level="error", paint=paint)
        say(text, err=True)
    if bad:
        raise typer.Exit(2)
    if rule and (len(files) > 1 or holds_objects(files[0].name)):
        raise OperatorError("--rule goes with one file that holds the text of one rule")
    found: list[dict[str, Any]] = []
    for file in files:
        text = read_text(file)
        if holds_objects(file.name):
            found += (one.to_dict() for one in parse_rules(text, filename=file.name).rules)
        else:
            found.append({"id": rule or file.stem, "rule": text})
    if not found:
        raise OperatorError("the files hold no rule")
    return found


def read_against(text: str, files: Sequence[Path], *, rule: str) -> object:
    """Return what the rules are compared with, as a request has it. Raises OperatorError."""
    if text in ("live", "nothing"):
        return text
    if text.isdecimal():
        return [{"id": one["id"], "version": int(text)} for one in read_rules(files, rule=rule)]
    file = Path(text)
    if not file.is_file():
        raise OperatorError(f"--against is {text!r}: live, nothing, a version's number, or a file")
    only = read_rules(files, rule=rule)[0]["id"]
    return read_rules([file], rule="" if holds_objects(file.name) else only)


def watch(asked: Server, backtest: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Wait until a backtest is over, and return it. Ctrl-C calls it off and ends the command."""
    path = f"/backtests/{backtest['id']}"
    if not quiet:
        typer.echo(f"Also at {asked.url}{path}", err=True)
    try:
        with Watching(quiet=quiet) as watching:
            while not _is_over(backtest):
                watching.show(backtest)
                time.sleep(_POLL_S)
                backtest = _look(asked, path)
            watching.show(backtest)
    except KeyboardInterrupt:
        backtest = asked.post(f"{path}/cancel")
        give_up_at = time.monotonic() + _CANCEL_S
        while not _is_over(backtest) and time.monotonic() < give_up_at:
            time.sleep(_POLL_S)
            backtest = asked.get(path)
        typer.echo(f"The backtest is {backtest['state']}.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    return backtest


def _look(asked: Server, path: str) -> dict[str, Any]:
    """Return a backtest as it is now; a server that is away may be starting again."""
    silent_polls = 0
    while True:
        try:
            found: dict[str, Any] = asked.get(path)
        except Unreachable:
            silent_polls += 1
            if silent_polls == _SILENT_POLLS:
                raise
            time.sleep(_POLL_S)
        else:
            return found


def _is_over(backtest: dict[str, Any]) -> bool:
    return backtest["finished_at"] is not None


def read_results(asked: Server, backtest: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the single traces, None where the key's role may not see any."""
    path = f"/backtests/{backtest['id']}/results"
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    try:
        while True:
            page = asked.get(path, explain=True, limit=_PAGE, **cursor)
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}
    except Refused as refusal:
        if refusal.status != 403:
            raise
        return None


def found(backtest: dict[str, Any], what: str) -> bool:
    """Tell whether the counts of all traces hold what --fail-on names."""
    for summary in backtest["summary"]:
        if what == "violated" and summary["now"]["violated"]:
            return True
        if what == "changed" and summary["changed"]:
            return True
        for change in summary["changes"]:
            if what == "new" and change["now"] == "violated":
                return True
            if what == "lost" and change["was"] == "violated":
                return True
    return False
