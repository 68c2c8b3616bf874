"""What the figures of redaction are taken from, and how they are shown; no speeds."""

from __future__ import annotations

import json
from io import StringIO

from rich.console import Console
from typer.testing import CliRunner

from api.bench.redaction import RedactionFigures, ShareFigures, measure_redaction
from api.bench.report import redaction_table
from api.command.app import app

FIGURES = RedactionFigures(
    record_spans=450,
    span_bytes=336,
    made_ms=200.0,
    rows=(ShareFigures(0.0, 199_999, 400_000, 250_000, 0), ShareFigures(0.1, 90_000, 2, 1, 7)),
)


def test_the_mix_is_clean_and_what_was_added_is_found() -> None:
    figures = measure_redaction(records=2, repeats=1, shares=(0.0, 0.1, 1.0), record_spans=40)
    assert figures.record_spans == 40
    assert [row.replaced for row in figures.rows] == [0, 8, 80]


def test_the_table_holds_every_figure_and_says_whether_it_is_enough() -> None:
    console = Console(file=StringIO(), width=120)
    console.print(redaction_table(FIGURES, hardware="a machine"))
    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    for part in ("199,999", "250,000", "336-byte", "10%", "200 ms", "NO", "a machine"):
        assert part in shown


def test_the_command_measures_all_and_prints_json() -> None:
    result = CliRunner().invoke(
        app, ["bench", "redaction", "--records", "1", "--repeats", "1", "--json"]
    )
    figures = json.loads(result.output)["redaction"]
    assert [row["share"] for row in figures["rows"]] == [0.0, 0.01, 0.1, 1.0]
    assert result.exit_code == (0 if figures["within_target"] else 1)
    assert figures["rows"][0]["redaction_spans_per_s"] > 0
