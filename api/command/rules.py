"""`betrace rules`: check and test files of rules, with no server."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import dsl
from dsl.objects import RuleDocument, parse_rules
from dsl.suites import SuiteResult, run

app = typer.Typer(no_args_is_help=True, help="Check, test and apply rules.")

Files = Annotated[
    list[Path], typer.Argument(exists=True, dir_okay=False, readable=True, metavar="FILE…")
]


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


@app.command()
def check(
    files: Files,
    form: Annotated[Format, typer.Option("--format")] = Format.TEXT,
) -> None:
    """Print problems and warnings of rule files. Exit 1 if there is any problem."""
    found = 0
    told = []
    for file in files:
        text = _text(file)
        document = _document(file, text)
        warnings = [w for rule in document.rules for w in dsl.check(rule.rule).warnings]
        found += len(document.problems)
        told.append(
            {
                "file": str(file),
                "rules": len(document.rules),
                "problems": [problem.to_dict() for problem in document.problems],
                "warnings": [warning.to_dict() for warning in warnings],
            }
        )
        if form is Format.TEXT:
            _print_checked(file, text, document)
    if form is Format.JSON:
        typer.echo(json.dumps({"files": told}, indent=2))
    raise typer.Exit(1 if found else 0)


@app.command()
def test(
    files: Files,
    form: Annotated[Format, typer.Option("--format")] = Format.TEXT,
) -> None:
    """Run the tests in rule files. Exit 1 if any fails or a file has problems."""
    results: list[SuiteResult] = []
    broken = False
    for file in files:
        text = _text(file)
        document = _document(file, text)
        if document.problems:
            broken = True
            typer.echo(dsl.render(text, document.problems, name=str(file)), err=True)
        results.append(run(document, read_file=_reader_beside(file)))
    result = SuiteResult(tuple(test for one in results for test in one.tests))
    if form is Format.JSON:
        typer.echo(json.dumps(result.to_dict()))
    else:
        _print_results(result)
    raise typer.Exit(1 if result.failed or broken else 0)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def _document(file: Path, text: str) -> RuleDocument:
    """Read a file: rule objects in YAML or JSON, or (`.rule`, `.betrace`) the text of one rule."""
    if file.suffix in (".rule", ".betrace"):
        return RuleDocument(str(file), problems=dsl.check(text).problems)
    return parse_rules(text, filename=str(file))


def _reader_beside(file: Path) -> Callable[[str], str]:
    """Return a reader of the files that tests name, relative to the file they stand in."""

    def read(name: str) -> str:
        return (file.parent / name).read_text(encoding="utf-8")

    return read


def _print_checked(file: Path, text: str, document: RuleDocument) -> None:
    if document.problems:
        typer.echo(dsl.render(text, document.problems, name=str(file)))
    for rule in document.rules:
        warnings = dsl.check(rule.rule).warnings
        if warnings:
            typer.echo("warning: " + dsl.render(rule.rule, warnings, name=f"{file}#{rule.id}"))
    if not document.problems:
        typer.echo(f"{file}: {len(document.rules)} rules, no problem")


def _print_results(result: SuiteResult) -> None:
    console = Console(highlight=False)
    for case in result.tests:
        label = f"{case.rule}: {case.name}" if case.rule else case.name
        if case.passed:
            console.print("[green]✓[/]", label)
            continue
        wanted = " or ".join(case.expect)
        console.print("[red]✗[/]", label, f"— wanted {wanted}, got {case.verdict or 'nothing'}")
        console.print("\n".join(f"    {line}" for line in case.explain.split("\n")), markup=False)
    failed = f", [red]{result.failed} failed[/]" if result.failed else ""
    console.print(f"{len(result.tests) - result.failed} passed{failed}")
