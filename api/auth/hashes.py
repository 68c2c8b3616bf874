"""How secrets that are only recognised, never read, are stored and looked up."""

from __future__ import annotations

import hashlib
import hmac


def keyed_hash(pepper: bytes, purpose: str, text: str) -> bytes:
    """Return 32 bytes that tell nothing of the text to whoever lacks the pepper.

    purpose: what the text is; the same text hashes differently for another.
    """
    return hmac.digest(pepper, purpose.encode() + b"\0" + text.encode(), hashlib.sha256)
