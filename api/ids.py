"""Ids in the paths of routes."""

from __future__ import annotations

from uuid import UUID

from api.problems import not_found


def id_of(text: str, what: str) -> UUID:
    """Return the id that a path names; a text that is none is the id of nothing.

    what: as the refusal calls it. Raises ApiError 404.
    """
    try:
        return UUID(text)
    except ValueError as error:
        raise not_found(what) from error
