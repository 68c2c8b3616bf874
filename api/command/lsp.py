"""`betrace lsp`: help in an editor, over standard input and output."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from api.command.files import read_spans
from api.errors import OperatorError
from dsl.editor.highlight import grammar, yaml_injection
from dsl.editor.learned import known_from
from dsl.source import LANGUAGE
from dsl.traces import TraceError


def run(
    traces: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Learn the names of spans and attributes from OTLP/JSON or a list of spans.",
        ),
    ] = None,
    grammars: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Write the TextMate grammars for an editor into this folder, and end.",
        ),
    ] = None,
) -> None:
    """Serve an editor that speaks the Language Server Protocol, until it ends."""
    if grammars is not None:
        _write_grammars(grammars)
        return
    if find_spec("pygls") is None:
        raise OperatorError("the language server needs pygls: pip install 'betrace[editor]'")
    from api.lsp.server import RuleServer

    try:
        spans = [span for file in traces or () for span in read_spans(file)]
    except TraceError as error:
        raise OperatorError(str(error)) from error
    known = known_from(spans) if traces else None
    RuleServer(f"language {LANGUAGE}", known).start_io()


def _write_grammars(folder: Path) -> None:
    for name, one in (("betrace", grammar()), ("betrace-yaml", yaml_injection())):
        file = folder / f"{name}.tmLanguage.json"
        file.write_text(json.dumps(one, indent=2) + "\n", encoding="utf-8")
        typer.echo(f"wrote {file}")
