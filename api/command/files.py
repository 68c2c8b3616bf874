"""Files that commands are given: read as they are, refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from dsl.documents import read_document
from dsl.spans import Span, spans_from_otlp_json
from dsl.traces import TraceError, span_from_fields

Files = Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, metavar="FILE…")]
OneFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE")]


def read_text(file: Path) -> str:
    """Return the text of a file, line ends and all. Ends the command if it is no UTF-8."""
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError as error:
        typer.echo(f"{file} is not UTF-8 text (byte {error.start}).", err=True)
        raise typer.Exit(1) from error


def load_json(file: Path) -> Any:
    """Return the value of a JSON file that a test names. Raises TraceError."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TraceError(f"the trace file {file.name} cannot be read: {error}") from error


def read_spans(file: Path) -> list[Span]:
    """Return the spans of a trace file. Raises TraceError with a sentence for people.

    The file is OTLP/JSON (one document, or one a line, as the Collector's file exporter writes it)
    or a list of spans as in the tests of rules, in YAML or JSON.
    """
    text = read_text(file)
    if file.suffix in (".jsonl", ".ndjson") or _is_one_a_line(text):
        values = [_json(line, file) for line in text.splitlines() if line.strip()]
    else:
        document = read_document(text, filename=file.name)
        if document.problems:
            first = document.problems[0]
            raise TraceError(f"{file}:{first.line}:{first.column}: {first.message}")
        values = document.values
    return [span for value in values for span in _spans_of(value)]


def _is_one_a_line(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and all(line.startswith("{") and line.endswith("}") for line in lines)


def _json(line: str, file: Path) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise TraceError(f"{file} holds a line that is not JSON: {error}") from error


def _spans_of(value: Any) -> list[Span]:
    if isinstance(value, dict) and "trace" in value and "resourceSpans" not in value:
        value = value["trace"]
    if isinstance(value, dict):
        return spans_from_otlp_json(value)
    if not isinstance(value, list):
        raise TraceError("a trace is a list of spans, or an OTLP/JSON document")
    spans = []
    for position, entry in enumerate(value):
        if not isinstance(entry, dict):
            raise TraceError(f"span {position + 1} must be a map of fields")
        spans.append(span_from_fields(entry, position=position))
    return spans
