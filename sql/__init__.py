"""The database as text: migrations, whose sum is the schema, and named queries.

Nothing here imports anything of the project; `api` reads the files.
"""

from __future__ import annotations

from pathlib import Path

MIGRATIONS = Path(__file__).parent / "migrations"
"""Applied in the order of their names by `betrace db migrate`."""

QUERIES = Path(__file__).parent / "queries"
"""One file a domain, loaded by aiosql."""
