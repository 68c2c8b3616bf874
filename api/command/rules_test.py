"""`betrace rules test`: the tests that rules carry, run and explained."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from api.command.files import Files, load_json, read_text
from api.command.junit import Suite, junit
from api.command.terminal import paint, say
from dsl.objects import parse_rules
from dsl.rendering import render
from dsl.suites import SuiteResult, TestResult, run


class TestFormat(StrEnum):
    """How the results of tests are printed."""

    __test__ = False

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"


def run_tests(
    files: Files,
    output: Annotated[
        TestFormat, typer.Option("--format", help="text, json or junit.")
    ] = TestFormat.TEXT,
) -> None:
    """Run the tests of the rules in files. Exit 1 if one fails or a file cannot be read."""
    suites = [_run_file(file) for file in files]
    match output:
        case TestFormat.TEXT:
            say(as_text(suites))
        case TestFormat.JSON:
            typer.echo(json.dumps(as_json(suites)))
        case TestFormat.JUNIT:
            typer.echo(junit(suites, why=told_of))
    if any(suite.problems or suite.failed or suite.broken for suite in suites):
        raise typer.Exit(1)


def _run_file(file: Path) -> Suite:
    document = parse_rules(read_text(file), filename=file.name)
    # Trace files are found beside the suite, so that it can be run from anywhere.
    result = run(document, load=lambda path: load_json(file.parent / path))
    return Suite(str(file), result.tests, document.problems)


def _result(suites: list[Suite]) -> SuiteResult:
    return SuiteResult(tuple(test for suite in suites for test in suite.tests))


def as_json(suites: list[Suite]) -> dict[str, Any]:
    """Return what became of tests as JSON values."""
    told = _result(suites).to_dict()
    problems = [
        {"file": suite.file, **problem.to_dict()} for suite in suites for problem in suite.problems
    ]
    return {**told, "problems": problems} if problems else told


# -- text ------------------------------------------------------------------------------------------


def as_text(suites: list[Suite]) -> str:
    """Return what became of tests, for people."""
    refused = [
        render(read_text(Path(suite.file)), suite.problems, name=suite.file, paint=paint)
        for suite in suites
        if suite.problems
    ]
    rows: list[str] = []
    for suite in suites:
        if len(suites) > 1 and suite.tests:
            rows.append(paint("place", suite.file))
        for one in suite.tests:
            rows += _test_rows(one)
    return "\n\n".join([*refused, "\n".join([*rows, _summary(_result(suites))])])


def _test_rows(one: TestResult) -> list[str]:
    if one.passed:
        return [f"{paint('good', 'pass')}  {one.name}"]
    return [f"{paint('bad', 'FAIL')}  {one.name}", *(f"      {row}" for row in _why(one))]


def _summary(result: SuiteResult) -> str:
    failed = f"{result.failed} failed"
    passed = paint("good", f"{result.passed} passed")
    return f"{passed}, {paint('bad', failed) if result.failed else failed}"


def told_of(test: TestResult) -> str:
    """Return why a test came to what it did, as lines."""
    return "\n".join(_why(test))


def _why(test: TestResult) -> Iterable[str]:
    """Yield what a test expected and came to, and what made it so."""
    told = test.explain
    yield f"expected {_shown(test.expect)}, and it is {_shown(test.verdict)}"
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


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " or ".join(map(_shown, value))
    return f"{value['verdict']} at {value['at']}" if isinstance(value, dict) else str(value)
