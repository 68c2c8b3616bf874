"""The worker's named statements about evidence."""

from __future__ import annotations

from functools import cache
from typing import Any, LiteralString, cast

import aiosql

import sql


def statement(name: str) -> LiteralString:
    """Return the text of a statement of sql/queries/evidence_sealing.sql, without its prefix."""
    return cast("LiteralString", getattr(_statements(), f"sealing_{name}").sql)


@cache
def _statements() -> Any:
    return aiosql.from_path(sql.QUERIES / "evidence_sealing.sql", "psycopg")
