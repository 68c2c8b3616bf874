"""Entity tags: a version number in quotes."""

from __future__ import annotations

import re
from typing import Final

from api.problems import ApiError

_ETAG: Final = re.compile(r'(?:W/)?"(0|[1-9][0-9]{0,8})"')


def version_of(if_match: str | None, *, least: int = 1) -> int | None:
    """Return the version an If-Match header asks for; None if there is none, or for `*`.

    least: the first version. Raises ApiError 400 for anything else.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    match = _ETAG.fullmatch(if_match.strip())
    if match is None or int(match[1]) < least:
        raise ApiError(400, "request.etag", 'If-Match takes a version in quotes, as "3".')
    return int(match[1])
