"""What the routes of traces and of signals answer alike: stretches of rows, and finds."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Path, Query

from api.traces.layouts import FOUND_MAX
from api.traces.rows import ROWS_MAX, Drawn

WITHOUT_NUL: Final = r"^[^\x00]*$"
"""What texts of an address may be: Postgres knows no NUL."""
First = Annotated[int, Query(ge=0, le=2**31 - 1, description="Number of the first row wanted.")]
Limit = Annotated[int, Query(ge=1, le=ROWS_MAX, description="How many rows at most.")]
Ordinal = Annotated[int, Path(ge=0, le=2**31 - 1, description="As the span's row says.")]
Text = Annotated[
    str,
    Query(
        alias="q",
        max_length=200,
        description="In name, service, status, attributes or events, any case; or a span id.",
    ),
]
Failed = Annotated[bool, Query(description="Instead of a text: rows whose spans failed.")]


def rows_answer(drawn: Drawn, *, first: int, limit: int) -> dict[str, Any]:
    """Return a RowsBody as plain data."""
    return {**drawn.summary(), **drawn.stretch(first, limit)}


def found_answer(rows: list[int]) -> dict[str, Any]:
    """Return a FoundRowsBody as plain data."""
    return {"rows": rows[:FOUND_MAX], "more": len(rows) > FOUND_MAX}
