"""Opaque cursors of keyset pages: where the last page ended, as URL-safe text."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from api.problems import ApiError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WRITTEN_AS: Final[dict[type, type]] = {datetime: int, UUID: str}


def encode_cursor(*values: str | int | datetime | UUID) -> str:
    """Return the values as a cursor. Times are exact to the microsecond, as Postgres has them."""
    plain = [_plain(value) for value in values]
    return urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def decode_cursor(text: str, *types: type) -> list[Any]:
    """Return the values of a cursor, checked to be of the types (str, int, datetime or UUID).

    Raises ApiError 400 for a text that no `encode_cursor` wrote.
    """
    plain = [_WRITTEN_AS.get(wanted, wanted) for wanted in types]
    try:
        values = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (Base64Error, ValueError):
        values = None
    if not isinstance(values, list) or [type(value) for value in values] != plain:
        raise ApiError(400, "request.cursor", "The cursor is none that this server gave out.")
    return [_read(value, wanted) for value, wanted in zip(values, types, strict=True)]


def foreign_cursor() -> ApiError:
    """Return the refusal of a cursor whose values mean nothing here."""
    return ApiError(400, "request.cursor", "The cursor is none of this server's.")


def _plain(value: str | int | datetime | UUID) -> str | int:
    match value:
        case datetime():
            return (value - _EPOCH) // timedelta(microseconds=1)
        case UUID():
            return str(value)
    return value


def _read(value: Any, wanted: type) -> Any:
    try:
        if wanted is datetime:
            return _EPOCH + timedelta(microseconds=value)
        return UUID(value) if wanted is UUID else value
    except (OverflowError, ValueError) as error:
        raise foreign_cursor() from error
