"""Asking a running server over its REST API: where it is, who asks, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpx

from api.errors import OperatorError

_TIMEOUT_S: Final = 30.0
API: Final = "/api/v1"


class Refused(OperatorError):
    """The server does not do what was asked; the text is for people."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        """body: a problem document."""
        self.status = status
        self.body = body
        super().__init__("\n".join(_lines(status, body)))


class Unreachable(OperatorError):
    """Nobody answers, or not in time."""


class Server:
    """A client with a key."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self._client.base_url).rstrip("/")

    def get(self, path: str, **query: Any) -> Any:
        """Return what is there. Raises Refused, Unreachable."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: object | None = None) -> Any:
        """Send a body as JSON. Raises Refused, Unreachable."""
        return self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        try:
            answer = self._client.request(method, API + path, **request)
        except httpx.HTTPError as error:
            raise Unreachable(
                f"no answer from {self._client.base_url}: {error} (BETRACE_URL names the server)"
            ) from error
        if answer.is_success:
            return answer.json()
        try:
            body = answer.json()
        except ValueError:
            body = {"detail": answer.text[:500]}
        raise Refused(answer.status_code, body)


@contextmanager
def server(url: str, key: str) -> Iterator[Server]:
    """Talk to a server. Raises OperatorError if address or key are not given."""
    for given, name in ((url, "BETRACE_URL"), (key, "BETRACE_API_KEY")):
        if not given:
            raise OperatorError(f"{name} is not set (. .betrace/demo.env sets it for the demo)")
    headers = {"X-API-Key": key}
    with httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_S) as client:
        yield Server(client)


def _lines(status: int, body: Mapping[str, Any]) -> Iterator[str]:
    yield f"{body.get('detail') or 'refused'} [{body.get('code', status)}]"
    for problem in body.get("problems", ()):
        rule = f"{problem['rule']}: " if problem.get("rule") else ""
        hint = f" ({problem['hint']})" if problem.get("hint") else ""
        yield f"  {rule}{problem.get('line', '?')}:{problem.get('column', '?')} " + (
            f"{problem.get('message')}{hint} [{problem.get('code')}]"
        )
