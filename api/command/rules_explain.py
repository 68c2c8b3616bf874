"""`betrace rules explain`: why a rule says what it says about a trace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

import typer

from api.command.files import OneFile, read_spans, read_text
from api.command.terminal import counted, paint, paint_states, say
from dsl.explain import Explanation, explain
from dsl.objects import parse_rules
from dsl.problems import Problem
from dsl.rendering import render
from dsl.rule import check
from dsl.rule_texts import RuleText, holds_objects
from dsl.spans import Span
from dsl.traces import TraceError
from dsl.words import did_you_mean


class ExplainFormat(StrEnum):
    """How an explanation is printed."""

    TEXT = "text"
    JSON = "json"


class _Named(NamedTuple):
    """A rule of a file; the text of one rule has no id."""

    id: str
    text: RuleText


class _Told(NamedTuple):
    """What one rule says about one trace."""

    rule: str
    trace: str
    explanation: Explanation


def explain_rules(
    file: OneFile,
    trace: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, help="OTLP/JSON, or spans as in a rule's tests."),
    ],
    rule: Annotated[str, typer.Option(help="The id of one rule of the file.")] = "",
    output: Annotated[
        ExplainFormat, typer.Option("--format", help="text or json.")
    ] = ExplainFormat.TEXT,
) -> None:
    """Show every clause of the verdict on a trace, with spans and values."""
    text = read_text(file)
    rules = _chosen(_rules_of(file, text), rule)
    try:
        traces = _by_trace(read_spans(trace))
    except TraceError as error:
        _refuse(str(error))
    told = _explained(file, text, rules, traces)
    if output is ExplainFormat.JSON:
        typer.echo(json.dumps(_as_json(told)))
    else:
        say(_as_text(told, heading=len(rules) > 1, traces=len(traces) > 1))


def _rules_of(file: Path, text: str) -> list[_Named]:
    if not holds_objects(file.name):
        return [_Named("", RuleText(text))]
    document = parse_rules(text, filename=file.name)
    if document.problems:
        _show_problems(file, text, document.problems)
    return [_Named(rule.id, RuleText(rule.rule, rule.place)) for rule in document.rules]


def _chosen(rules: list[_Named], wanted: str) -> list[_Named]:
    found = [rule for rule in rules if not wanted or rule.id == wanted]
    if wanted and not found:
        hint = did_you_mean(wanted, [rule.id for rule in rules])
        _refuse(f"there is no rule `{wanted}` in the file. {hint}".strip())
    return found


def _by_trace(spans: list[Span]) -> dict[bytes, list[Span]]:
    """Gather spans by their trace; a file without spans is one empty trace."""
    traces: dict[bytes, list[Span]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    return traces or {b"": []}


def _explained(
    file: Path, text: str, rules: list[_Named], traces: dict[bytes, list[Span]]
) -> list[_Told]:
    told: list[_Told] = []
    problems: list[Problem] = []
    skipped = 0
    for rule in rules:
        checked = check(rule.text.text)
        problems += map(rule.text.in_file, checked.problems)
        if checked.promise is None:
            skipped += checked.rule is not None
            continue
        for trace_id, spans in traces.items():
            told.append(_Told(rule.id, trace_id.hex(), explain(checked.promise, spans)))
    if problems:
        _show_problems(file, text, problems)
    if skipped:
        rules_left = counted(skipped, "rule")
        message = f"{rules_left} over many traces left out: `betrace rules test` explains them"
        typer.echo(message, err=True)
    return told


def _show_problems(file: Path, text: str, problems: Sequence[Problem]) -> NoReturn:
    say(render(text, problems, name=str(file), paint=paint), err=True)
    raise typer.Exit(1)


def _refuse(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(2)


def _as_json(told: list[_Told]) -> dict[str, Any]:
    return {
        "explanations": [
            {"rule": one.rule, "trace": one.trace, **one.explanation.to_dict()} for one in told
        ]
    }


def _as_text(told: list[_Told], *, heading: bool, traces: bool) -> str:
    blocks = []
    for one in told:
        names = [one.rule] * heading + [f"trace {one.trace}"] * traces
        title = [paint("place", ", ".join(names))] if names else []
        blocks.append("\n".join([*title, paint_states(one.explanation.render_text())]))
    return "\n\n".join(blocks)
