"""`betrace rules check`: every problem and warning of the rules in files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from api.command.files import Files, read_text
from api.command.remote import Server
from api.command.sarif import Finding, sarif
from api.command.terminal import counted, paint, say
from dsl.documents import Place
from dsl.exceptions import warnings_about
from dsl.first import differences
from dsl.many.rule_set import check_together
from dsl.objects import parse_rules
from dsl.problems import Problem
from dsl.rendering import Level, render
from dsl.rule import Checked as CheckedText
from dsl.rule import check as check_text
from dsl.rule_texts import holds_objects, rule_texts


class CheckFormat(StrEnum):
    """How the findings of a check are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


class Dialect(StrEnum):
    """An older language whose rules are read."""

    BETRACE = "betrace"


@dataclass(frozen=True, slots=True)
class Checked:
    """One file and what was found in it, at places of the file.

    differences: where it means something else now; None if nobody asked.
    """

    file: Path
    text: str
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    differences: tuple[Problem, ...] | None
    rule_count: int

    def findings(self) -> Iterator[tuple[Level, tuple[Problem, ...]]]:
        """Yield what was found, the worst first."""
        yield "error", self.problems
        yield "warning", self.warnings
        yield "note", self.differences or ()


def check(
    files: Files,
    output: Annotated[
        CheckFormat, typer.Option("--format", help="text, json or sarif.")
    ] = CheckFormat.TEXT,
    dialect: Annotated[
        Dialect | None,
        typer.Option("--from", help="betrace: show what the first BeTrace understood otherwise."),
    ] = None,
    server: Annotated[
        bool,
        typer.Option(
            "--server", help="Also ask BETRACE_URL what the tenant's redaction takes from them."
        ),
    ] = False,
) -> None:
    """Show every problem and warning of the rules in files. Exit 1 if there is a problem.

    With --server, BETRACE_API_KEY names the tenant.
    """
    checked = [check_file(file, compare=dialect is not None) for file in files]
    if server:
        with Server() as asked:
            checked = [with_redaction(one, asked) for one in checked]
    match output:
        case CheckFormat.TEXT:
            say(_as_text(checked))
        case CheckFormat.JSON:
            typer.echo(json.dumps(_as_json(checked)))
        case CheckFormat.SARIF:
            typer.echo(json.dumps(_as_sarif(checked), indent=2))
    if any(one.problems for one in checked):
        raise typer.Exit(1)


def check_file(file: Path, *, compare: bool) -> Checked:
    """Check the rules of a file. compare: look for what the first BeTrace understood otherwise."""
    text = read_text(file)
    problems: list[Problem] = []
    warnings: list[Problem] = []
    together: dict[tuple[Place | None, str], CheckedText] = {}
    if holds_objects(file.name):
        document = parse_rules(text, filename=file.name)
        problems += document.problems
        now = datetime.now(UTC)
        for rule in document.rules:
            warnings += warnings_about(rule.exceptions, at=now)
        together = {
            (rule.place, rule.rule): checked for rule, checked in check_together(document.rules)
        }
    # Texts of rules whose other fields are wrong are checked too, each alone.
    texts = [one for one in rule_texts(text, filename=file.name) if not one.of_test]
    differing: list[Problem] = []
    for one in texts:
        checked = together.get((one.place, one.text)) or check_text(one.text)
        problems += map(one.in_file, checked.problems)
        warnings += map(one.in_file, checked.warnings)
        differing += map(one.in_file, differences(one.text)) if compare else ()
    return Checked(
        file=file,
        text=text,
        problems=_in_order(problems),
        warnings=_in_order(warnings),
        differences=_in_order(differing) if compare else None,
        rule_count=len(texts),
    )


def with_redaction(checked: Checked, server: Server) -> Checked:
    """Return what was found in a file, with what redaction takes from its rules.

    Raises OperatorError where the server does not answer.
    """
    problems, warnings = list(checked.problems), list(checked.warnings)
    for one in rule_texts(checked.text, filename=checked.file.name):
        if one.of_test or check_text(one.text).rule is None:
            continue
        said = server.post("/rules/validate", {"rule": one.text})
        problems += map(one.in_file, _of_redaction(said["problems"]))
        warnings += map(one.in_file, _of_redaction(said["warnings"]))
    return replace(checked, problems=_in_order(problems), warnings=_in_order(warnings))


def _of_redaction(found: list[dict[str, Any]]) -> Iterator[Problem]:
    for problem in found:
        if str(problem["code"]).startswith("rule.redacted_"):
            yield Problem(**{field.name: problem[field.name] for field in fields(Problem)})


def _in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda one: (one.line, one.column)))


def _as_text(checked: list[Checked]) -> str:
    blocks = [
        render(one.text, found, name=str(one.file), level=level, paint=paint)
        for one in checked
        for level, found in one.findings()
        if found
    ]
    return "\n\n".join([*blocks, _summary(checked)])


def _summary(checked: list[Checked]) -> str:
    problem_count = sum(len(one.problems) for one in checked)
    warning_count = sum(len(one.warnings) for one in checked)
    counts = [
        counted(sum(one.rule_count for one in checked), "rule"),
        paint("bad" if problem_count else "good", counted(problem_count, "problem")),
        paint("doubt" if warning_count else "good", counted(warning_count, "warning")),
    ]
    if any(one.differences is not None for one in checked):
        counts.append(counted(sum(len(one.differences or ()) for one in checked), "difference"))
    return ", ".join(counts)


def _as_json(checked: list[Checked]) -> dict[str, Any]:
    return {
        "files": [_file_as_json(one) for one in checked],
        "problems": sum(len(one.problems) for one in checked),
        "warnings": sum(len(one.warnings) for one in checked),
    }


def _file_as_json(one: Checked) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "file": str(one.file),
        "problems": [problem.to_dict() for problem in one.problems],
        "warnings": [warning.to_dict() for warning in one.warnings],
    }
    if one.differences is not None:
        shown["differences"] = [difference.to_dict() for difference in one.differences]
    return shown


def _as_sarif(checked: list[Checked]) -> dict[str, Any]:
    findings = (
        Finding(one.file, level, problem)
        for one in checked
        for level, found in one.findings()
        for problem in found
    )
    return sarif(findings, root=Path.cwd())
