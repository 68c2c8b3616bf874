"""Requests to a webhook, signed by the Standard Webhooks scheme.

    webhook-id: 6f1f4a0e-…           the same for every attempt: a receiver may tell them by it
    webhook-timestamp: 1795000000    seconds
    webhook-signature: v1,BASE64     HMAC-SHA256 over id ‖ "." ‖ timestamp ‖ "." ‖ body

The key is the base64 after `whsec_` of the secret.
Source: standardwebhooks.com, specification 1.0.
"""

from __future__ import annotations

import hmac
import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

from api.anchors.model import Head

EVENT: Final = "evidence.checkpoint"
_PREFIX: Final = "whsec_"
_KEY_BYTES: Final = 32


def new_secret() -> str:
    """Return a fresh secret."""
    return _PREFIX + b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def body_of(head: Head, *, tenant_id: UUID) -> bytes:
    """Return the JSON that tells of a checkpoint; `note` is the checkpoint itself."""
    told = {
        "type": EVENT,
        "timestamp": f"{head.sealed_at.isoformat(timespec='milliseconds')}",
        "data": {
            "tenant_id": str(tenant_id),
            "number": head.number,
            "size": head.size,
            "note": head.note.decode(),
        },
    }
    return json.dumps(told, ensure_ascii=False).encode()


def headers_of(body: bytes, *, secret: str, message_id: UUID, now: datetime) -> Mapping[str, str]:
    """Return the headers that a body is sent with."""
    seconds = str(int(now.timestamp()))
    return {
        "content-type": "application/json",
        "webhook-id": str(message_id),
        "webhook-timestamp": seconds,
        "webhook-signature": signature(body, secret=secret, message_id=str(message_id), at=seconds),
    }


def signature(body: bytes, *, secret: str, message_id: str, at: str) -> str:
    """Return the signature of a message, with its version in front."""
    key = b64decode(secret.removeprefix(_PREFIX))
    signed = hmac.digest(key, f"{message_id}.{at}.".encode() + body, sha256)
    return f"v1,{b64encode(signed).decode()}"
