"""Speaking to a running server: address and API key from the environment, refusals as one line."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from io import BytesIO
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

import httpx

from api.client.connection import Connection
from api.client.errors import NO_ANSWER, ApiError
from api.errors import OperatorError

T = TypeVar("T")


class Server:
    """The REST API of BETRACE_URL, as whoever owns BETRACE_API_KEY. A context manager."""

    def __init__(self, *, transport: httpx.BaseTransport | None = None) -> None:
        """transport: in place of the network's. Raises OperatorError if a variable is missing."""
        self._to = Connection(
            _variable("BETRACE_URL"), _variable("BETRACE_API_KEY"), transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._to.close()

    def get(self, path: str, **query: Any) -> Any:
        """GET; query parameters that are None are left out. Raises OperatorError."""
        return _told(lambda: self._to.ask("GET", path, object, query=query))

    def get_bytes(self, path: str) -> bytes:
        """GET what is no JSON. Raises OperatorError."""
        out = BytesIO()
        self.fetch(path, out)
        return out.getvalue()

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST a JSON body. Raises OperatorError."""
        return _told(lambda: self._to.ask("POST", path, object, body=body))

    def download(self, path: str, body: Mapping[str, Any], out: BinaryIO) -> int:
        """POST a JSON body and write what comes into a file; return its bytes.

        Raises OperatorError, also if it ends too early.
        """
        return _told(lambda: self._to.save("POST", path, out, body=body))

    def fetch(self, path: str, out: BinaryIO, **query: Any) -> int:
        """GET, and write what comes into a file; as `get` and `download`."""
        return _told(lambda: self._to.save("GET", path, out, query=query))


class Refusal(OperatorError):
    """The server said no."""

    def __init__(self, error: ApiError) -> None:
        self.status = error.status
        self.code = error.code
        super().__init__(str(error))


def _told(ask: Callable[[], T]) -> T:
    """Ask, and tell what goes wrong as one line."""
    try:
        return ask()
    except ApiError as error:
        if error.status == NO_ANSWER:
            raise OperatorError(error.detail) from error
        raise Refusal(error) from error


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise OperatorError(f"{name} is not set (`. .betrace/demo.env` for the demo)")
    return value
