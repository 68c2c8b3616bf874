"""`betrace rules fmt`: rule texts in the one layout, comments kept."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import typer

from api.command.files import Files, read_text
from api.command.terminal import counted, paint, say
from dsl.documents import read_document
from dsl.formatter import format_rule
from dsl.problems import Problem
from dsl.rendering import render
from dsl.rule import check
from dsl.rule_texts import format_file, holds_objects, rule_texts


def format_rules(
    files: Files,
    check_only: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 if a file would change.")
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show what would change, and change nothing.")
    ] = False,
) -> None:
    """Lay out the rule texts of files. Exit 1 if one cannot be read, or with --check would change.

    Only white space of rule texts changes: in YAML those in `|` blocks, and nothing around them.
    """
    changed = unreadable = 0
    for file in files:
        text = read_text(file)
        formatted = format_file(text, filename=file.name)
        unreadable += _tell_problems(file, text)
        if formatted == text:
            continue
        changed += 1
        if diff:
            say(_difference(file, text, formatted))
        elif check_only:
            say(f"would change {file}")
        else:
            file.write_bytes(formatted.encode())
            say(f"changed {file}")
    say(_summary(len(files), changed, unreadable, would=check_only or diff))
    if unreadable or (check_only and changed):
        raise typer.Exit(1)


def _tell_problems(file: Path, text: str) -> bool:
    """Show why texts of a file cannot be laid out. True if there are any."""
    problems: list[Problem] = []
    if holds_objects(file.name):
        problems += read_document(text, filename=file.name).problems
    for one in rule_texts(text, filename=file.name):
        # A test may hold a wrong text on purpose.
        if not one.of_test and format_rule(one.text) is None:
            problems += map(one.in_file, check(one.text).problems)
    if problems:
        say(render(text, problems, name=str(file), paint=paint) + "\n", err=True)
    return bool(problems)


def _difference(file: Path, text: str, formatted: str) -> str:
    roles = {"+": "added", "-": "removed", "@": "code"}
    rows = difflib.unified_diff(
        text.splitlines(), formatted.splitlines(), str(file), str(file), lineterm=""
    )
    return "\n".join(paint(roles[row[0]], row) if row[:1] in roles else row for row in rows)


def _summary(total: int, changed: int, unreadable: int, *, would: bool) -> str:
    verb = "would change" if would else "changed"
    parts = [f"{counted(total, 'file')} read", f"{changed} {verb}"]
    if unreadable:
        parts.append(paint("bad", f"{unreadable} with problems"))
    return ", ".join(parts)
