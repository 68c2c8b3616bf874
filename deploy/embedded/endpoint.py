"""Asking a server whether it is there, cheaply: these questions are put many times a second."""

from __future__ import annotations

import json
import socket
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen


class Unreachable(Exception):
    """A server did not answer, or answered with an error; the text is what it said."""


def listens(address: str, *, timeout_s: float = 1) -> bool:
    """Whether something accepts connections at `host:port` (the first one of a list)."""
    host, _, port = address.partition(",")[0].rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=timeout_s):
            return True
    except OSError:
        return False


def http_ok(url: str) -> bool:
    """Whether GET answers with a 2xx status."""
    try:
        with urlopen(url, timeout=5):
            return True
    except (OSError, HTTPException):
        return False


def http_json(
    method: str,
    url: str,
    *,
    body: dict[str, object] | None = None,
    headers: dict[str, str] | None = None,
    timeout_s: float = 10,
) -> Any:
    """Answer of a JSON service, None if it is empty. Raises Unreachable."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(
        url,
        data=data,
        method=method,
        headers={"Content-Type": "application/json", **(headers or {})},
    )
    try:
        with urlopen(request, timeout=timeout_s) as answer:
            text = answer.read()
            return json.loads(text) if text else None
    except HTTPError as error:
        raise Unreachable(f"{error.code}: {error.read().decode(errors='replace')}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise Unreachable(str(error)) from error
