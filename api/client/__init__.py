"""BeTrace for scripts: the REST API as typed Python.

    from api.client import BeTrace

    with BeTrace() as betrace:
        for signal in betrace.signals.each(limit=10):
            print(signal.rule_name, signal.root_name)

What comes back are the models that the API itself writes its answers with. Groups are loaded when
they are first used.
"""

from __future__ import annotations

from api.client.betrace import BeTrace
from api.client.errors import (
    ApiError,
    Conflict,
    Invalid,
    Limited,
    NotFound,
    Refused,
    Unavailable,
)

__all__ = [
    "ApiError",
    "BeTrace",
    "Conflict",
    "Invalid",
    "Limited",
    "NotFound",
    "Refused",
    "Unavailable",
]
