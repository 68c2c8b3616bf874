"""Keys of operators: of the form of API keys, and good for nothing that those are good for.

betrace_operator_<43 characters: 32 random bytes in base 62><6 characters: CRC-32 in base 62>
"""

from __future__ import annotations

import re
from typing import Final

from api.auth.hashes import keyed_hash
from api.auth.keys import has_checksum, random_secret

PREFIX: Final = "betrace_operator_"
NAME_FORM: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,49}")
"""Records name operators by it."""


def new_operator_key() -> str:
    """Return a new random key. It is shown once and kept nowhere."""
    return f"{PREFIX}{random_secret()}"


def is_operator_key(text: str) -> bool:
    """Return whether a text has the form of a key and its checksum is right."""
    return text.startswith(PREFIX) and has_checksum(text.removeprefix(PREFIX))


def hash_operator_key(key: str, *, pepper: bytes) -> bytes:
    """Return the 32 bytes under which a key is stored."""
    return keyed_hash(pepper, "operator-key", key)
