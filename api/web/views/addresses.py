"""Addresses of pages with what was chosen in their query."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode


def with_query(path: str, fields: Mapping[str, str]) -> str:
    """Return the path with those fields that are set."""
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"{path}?{query}" if query else path
