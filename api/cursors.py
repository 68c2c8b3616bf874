"""Opaque cursors of keyset pages: where the last page ended, as URL-safe text."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error

from api.problems import ApiError


def encode_cursor(*values: str | int) -> str:
    """Return the values as a cursor."""
    return urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def decode_cursor(text: str, *types: type) -> list[str | int]:
    """Return the values of a cursor, checked to be of the types.

    Raises ApiError 400 for a text that no `encode_cursor` wrote.
    """
    try:
        values = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (Base64Error, ValueError):
        values = None
    if not isinstance(values, list) or [type(value) for value in values] != list(types):
        raise ApiError(400, "request.cursor", "The cursor is none that this server gave out.")
    return values
