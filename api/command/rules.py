"""`betrace rules check` and `betrace rules test`: rules on this machine, no server needed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from dsl.many.rule_set import check_together
from dsl.objects import RuleDocument, parse_rules
from dsl.problems import Problem, render
from dsl.rule import check as check_text
from dsl.suites import SuiteResult, TestResult, run
from dsl.traces import TraceError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Check and test rules.")

OBJECT_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
"""Files of rule objects; any other file is the text of one rule."""


class CheckFormat(StrEnum):
    """How the findings of a check are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


class TestFormat(StrEnum):
    """How the results of tests are printed."""

    __test__ = False

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"


Files = Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, metavar="FILE…")]


@dataclass(frozen=True, slots=True)
class _Checked:
    """One file and what was found in it, at places of the file."""

    name: str
    text: str
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    rule_count: int


@app.command("check")
def check(
    files: Files,
    output: Annotated[
        CheckFormat, typer.Option("--format", help="text, json or sarif.")
    ] = CheckFormat.TEXT,
) -> None:
    """Show every problem and warning of the rules in files. Exit 1 if there is a problem."""
    checked = [_check_file(file) for file in files]
    match output:
        case CheckFormat.TEXT:
            typer.echo(_check_text(checked))
        case CheckFormat.JSON:
            typer.echo(json.dumps(_check_json(checked)))
        case CheckFormat.SARIF:
            typer.echo(json.dumps(_check_sarif(checked)))
    if any(one.problems for one in checked):
        raise typer.Exit(1)


@app.command("test")
def run_tests(
    files: Files,
    output: Annotated[
        TestFormat, typer.Option("--format", help="text, json or junit.")
    ] = TestFormat.TEXT,
) -> None:
    """Run the tests of the rules in files. Exit 1 if one fails or a file cannot be read."""
    results: list[TestResult] = []
    refused: list[str] = []
    problems: list[dict[str, Any]] = []
    for file in files:
        text = _read(file)
        document = parse_rules(text, filename=file.name)
        if document.problems:
            refused.append(render(text, document.problems, name=str(file)))
            problems += [{"file": str(file), **problem.to_dict()} for problem in document.problems]
        results.extend(_run_file(document, file).tests)
    result = SuiteResult(tuple(results))
    match output:
        case TestFormat.TEXT:
            typer.echo("\n\n".join([*refused, _test_text(result)]))
        case TestFormat.JSON:
            told = result.to_dict()
            typer.echo(json.dumps({**told, "problems": problems} if problems else told))
        case TestFormat.JUNIT:
            typer.echo(_junit(result))
    if result.failed or problems:
        raise typer.Exit(1)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        typer.echo(f"{file} is not UTF-8 text (byte {error.start}).", err=True)
        raise typer.Exit(1) from error


# -- check -----------------------------------------------------------------------------------------


def _check_file(file: Path) -> _Checked:
    text = _read(file)
    if file.suffix not in OBJECT_SUFFIXES:
        checked = check_text(text)
        return _Checked(str(file), text, checked.problems, checked.warnings, 1)
    document = parse_rules(text, filename=file.name)
    problems = list(document.problems)
    warnings: list[Problem] = []
    for rule, checked in check_together(document.rules):
        problems += map(rule.in_file, checked.problems)
        warnings += map(rule.in_file, checked.warnings)
    return _Checked(str(file), text, tuple(problems), tuple(warnings), len(document.rules))


def _check_text(checked: list[_Checked]) -> str:
    blocks = []
    for one in checked:
        if one.problems:
            blocks.append(render(one.text, one.problems, name=one.name))
        if one.warnings:
            shown = render(one.text, one.warnings, name=one.name)
            blocks.append("\n\n".join(f"warning: {row}" for row in shown.split("\n\n")))
    counts = (
        _counted(sum(one.rule_count for one in checked), "rule"),
        _counted(sum(len(one.problems) for one in checked), "problem"),
        _counted(sum(len(one.warnings) for one in checked), "warning"),
    )
    return "\n\n".join([*blocks, ", ".join(counts)])


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _check_json(checked: list[_Checked]) -> dict[str, Any]:
    return {
        "files": [
            {
                "file": one.name,
                "problems": [problem.to_dict() for problem in one.problems],
                "warnings": [warning.to_dict() for warning in one.warnings],
            }
            for one in checked
        ],
        "problems": sum(len(one.problems) for one in checked),
        "warnings": sum(len(one.warnings) for one in checked),
    }


def _check_sarif(checked: list[_Checked]) -> dict[str, Any]:
    """Lay findings out as SARIF 2.1.0, which code hosts show at their lines."""
    results = [
        _sarif_result(one.name, problem, level)
        for one in checked
        for level, found in (("error", one.problems), ("warning", one.warnings))
        for problem in found
    ]
    driver = {"name": "betrace", "informationUri": "https://github.com/betracehq/betrace"}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }


def _sarif_result(name: str, problem: Problem, level: str) -> dict[str, Any]:
    region = {
        "startLine": problem.line,
        "startColumn": problem.column,
        "endLine": problem.end_line,
        "endColumn": problem.end_column,
    }
    return {
        "ruleId": problem.code,
        "level": level,
        "message": {"text": f"{problem.message}. {problem.hint}".rstrip(". ") + "."},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": name}, "region": region}}],
    }


# -- test ------------------------------------------------------------------------------------------


def _run_file(document: RuleDocument, file: Path) -> SuiteResult:
    def load(path: str) -> Any:
        # Relative to the suite, so that it can be run from anywhere.
        try:
            return json.loads((file.parent / path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TraceError(f"the trace file {path} cannot be read: {error}") from error

    return run(document, load=load)


def _test_text(result: SuiteResult) -> str:
    rows: list[str] = []
    for one in result.tests:
        rows.append(f"{'pass' if one.passed else 'FAIL'}  {one.name}")
        if not one.passed:
            rows += [f"      expected {_shown(one.expect)}, and it is {_shown(one.verdict)}"]
            rows += [f"      {row}" for row in _why(one)]
    rows.append(f"{result.passed} passed, {result.failed} failed")
    return "\n".join(rows)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " or ".join(map(_shown, value))
    return f"{value['verdict']} at {value['at']}" if isinstance(value, dict) else str(value)


def _why(test: TestResult) -> Iterable[str]:
    told = test.explain
    if "error" in told:
        yield str(told["error"])
    for problem in told.get("problems", ()):
        yield f"{problem['line']}:{problem['column']} {problem['message']} [{problem['code']}]"
    for clause in told.get("clauses", ()):
        for condition in clause["conditions"]:
            text = " ".join(condition["text"].split())
            yield f"{clause['clause']}: {text} is {condition['state']}"
            miss = condition["nearest_miss"]
            if miss:
                yield f"  nearest: {miss['name']} fails {'; '.join(miss['failed'])}"


def _junit(result: SuiteResult) -> str:
    from xml.etree import ElementTree

    suite = ElementTree.Element(
        "testsuite",
        name="betrace rules",
        tests=str(len(result.tests)),
        failures=str(result.failed),
    )
    for one in result.tests:
        case = ElementTree.SubElement(suite, "testcase", classname=one.rule, name=one.name)
        if not one.passed:
            message = f"expected {_shown(one.expect)}, and it is {_shown(one.verdict)}"
            failure = ElementTree.SubElement(case, "failure", message=message)
            failure.text = "\n".join(_why(one))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)
