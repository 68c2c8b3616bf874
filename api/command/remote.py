"""Speaking to a running server: address and API key from the environment, refusals as one line."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, BinaryIO, Self

import httpx

from api.errors import OperatorError

_PATIENCE_S = 30.0
_DOWNLOAD_PATIENCE_S = 600.0
"""What is made before it is sent takes its time."""


class Server:
    """The REST API of BETRACE_URL, as whoever owns BETRACE_API_KEY. A context manager."""

    def __init__(self, *, transport: httpx.BaseTransport | None = None) -> None:
        """transport: in place of the network's. Raises OperatorError if a variable is missing."""
        self._url = _variable("BETRACE_URL").rstrip("/")
        self._client = httpx.Client(
            base_url=f"{self._url}/api/v1",
            headers={"X-API-Key": _variable("BETRACE_API_KEY")},
            timeout=_PATIENCE_S,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def get(self, path: str, **query: Any) -> Any:
        """GET; query parameters that are None are left out. Raises OperatorError."""
        given = {name: value for name, value in query.items() if value is not None}
        return self._ask("GET", path, params=given)

    def get_bytes(self, path: str) -> bytes:
        """GET what is no JSON. Raises OperatorError."""
        return self._answer("GET", path).content

    def post(self, path: str, body: object = None) -> Any:
        """POST a JSON body. Raises OperatorError."""
        return self._ask("POST", path, json=body)

    def download(self, path: str, body: object, out: BinaryIO) -> int:
        """POST a JSON body and write what comes into a file; return its bytes.

        Raises OperatorError, also if it ends too early.
        """
        return self._save("POST", path, out, json=body)

    def fetch(self, path: str, out: BinaryIO, **query: Any) -> int:
        """GET, and write what comes into a file; as `get` and `download`."""
        given = {name: value for name, value in query.items() if value is not None}
        return self._save("GET", path, out, params=given)

    def _save(self, method: str, path: str, out: BinaryIO, **content: Any) -> int:
        try:
            with self._client.stream(
                method, path, timeout=_DOWNLOAD_PATIENCE_S, **content
            ) as answer:
                if not answer.is_success:
                    answer.read()
                    raise Refusal(answer)
                return sum(out.write(piece) for piece in answer.iter_bytes())
        except httpx.TransportError as error:
            raise OperatorError(f"{self._url} did not send all of it: {error}") from error

    def _ask(self, method: str, path: str, **content: Any) -> Any:
        return self._answer(method, path, **content).json()

    def _answer(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **content)
        except httpx.TransportError as error:
            raise OperatorError(f"nothing answers at {self._url}: {error}") from error
        if answer.is_success:
            return answer
        raise Refusal(answer)


class Refusal(OperatorError):
    """The server said no."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        try:
            problem = answer.json()
            self.code = str(problem["code"])
            super().__init__(f"{problem['detail']} ({self.code})")
        except (ValueError, KeyError, TypeError):
            self.code = ""
            super().__init__(f"the server answered {self.status}: {answer.text[:200]}")


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise OperatorError(f"{name} is not set (`. .betrace/demo.env` for the demo)")
    return value
