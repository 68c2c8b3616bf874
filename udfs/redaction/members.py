"""Keys within texts: members of JSON, parameters of queries and forms, `key=value` of log lines.

What such a key tells of its value is what it would tell as the key of an attribute (`keys`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from udfs.redaction.keys import kind_of_key

_KEY = rb"[0-9A-Za-z][0-9A-Za-z._/:\[\] -]{1,63}"
_IN_JSON = re.compile(
    rb"(\\?[\"'])(?P<key>" + _KEY + rb")\1\s{0,3}:\s{0,3}"
    rb"(?=\\?\"((?:[^\"\\]|\\[^\"]){1,512})|\\?'((?:[^'\\]|\\[^']){1,512})|(-?[0-9][0-9.]{0,30}))"
)
_ASSIGNED = re.compile(
    rb"(?<![0-9A-Za-z._\-\[\]])(?P<key>[A-Za-z][0-9A-Za-z._\[\]-]{1,63})="
    rb"(?=\"([^\"]{1,512})|'([^']{1,512})|([^\s&;,\"'#<>(){}]{1,512}))"
)
"""Values are only looked at, since there may be members within them."""
_BRACKETS_AS_DOTS = bytes.maketrans(b"[]", b"..")
"""For `user[email]=` of forms."""
_NO_VALUES = frozenset(b"true false null none undefined ? redacted masked hidden filtered".split())
"""The last ones are what instrumentations and proxies write in place of a value."""


def has_members(text: bytes) -> bool:
    """Whether there may be any."""
    return b"=" in text or (b":" in text and (b'"' in text or b"'" in text))


def members(text: bytes) -> Iterator[tuple[str, int, int]]:
    """Yield (kind, start, end) of the values whose keys tell what they are."""
    if not has_members(text):
        return
    for pattern in (_IN_JSON, _ASSIGNED):
        for match in pattern.finditer(text):
            value = match.lastindex or 0
            kind = kind_of_key(match["key"].translate(_BRACKETS_AS_DOTS).decode())
            if kind is not None and not _is_none(match[value]):
                yield kind, *match.span(value)


def _is_none(value: bytes) -> bool:
    return value.lower() in _NO_VALUES or not value.strip(b"*")
