"""One server and one API key: requests, answers as models, pages, files, and trying again.

A request is sent again, a few times and with growing pauses that differ at random, where that can
do no harm: whatever it is, if it never arrived or was turned away before anything was done (429);
and if it changes nothing when it is done twice, also after 502, 503 and a connection that broke.
`Retry-After` is kept to; who is to wait for longer than a minute is told so in place of it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any, BinaryIO, Final, Protocol, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_jsonable_python

from api.client.errors import NO_ANSWER, ApiError, Limited, Unavailable, refusal_of

T = TypeVar("T")
Item = TypeVar("Item", covariant=True)
Query = Mapping[str, Any]
Body = BaseModel | Mapping[str, Any] | str
"""What a request carries: JSON, or YAML where it is a text."""

PREFIX: Final = "/api/v1"
TRIES: Final = 4
PATIENCE_S: Final = 30.0
DOWNLOAD_PATIENCE_S: Final = 600.0
"""What is made before it is sent takes its time."""
WAIT_MAX_S: Final = 60.0
PAGE: Final = 100
"""Items of a list that are asked for at once: every list gives so many."""
_FIRST_PAUSE_S: Final = 0.25
_NEVER_ARRIVED: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_SAYS_NAME: Final = {"from_at": "from", "to_at": "to", "from_day": "from", "to_day": "to"}
"""Names in a query that are words of Python."""


class Page(Protocol[Item]):
    """A page of a list, as every list of the API has them."""

    @property
    def items(self) -> Sequence[Item]:
        """What is on it."""

    @property
    def next_cursor(self) -> str | None:
        """Where the next one begins; None: this is the last one."""


class Connection:
    """The API of one server, as whoever owns the key. Raises ApiError for what does not succeed."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        tries: int = TRIES,
        transport: httpx.BaseTransport | None = None,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        """transport: in place of the network's. rest: waits for so many seconds."""
        self.url = url.rstrip("/")
        self.rest = rest
        self._tries = tries
        self._client = httpx.Client(
            base_url=f"{self.url}{PREFIX}",
            headers={"X-API-Key": api_key},
            timeout=PATIENCE_S,
            transport=transport,
        )

    def close(self) -> None:
        """Close what is open to the server."""
        self._client.close()

    def ask(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        query: Query | None = None,
        body: Body | None = None,
        if_version: int | None = None,
        harmless: bool = False,
        **places: object,
    ) -> T:
        """Ask, and return the answer as what it is.

        path: below /api/v1, with names in braces for places. if_version: which one is to be
        changed (If-Match). harmless: whether to do it twice is to do it once; GET is so anyway.
        """
        request = self._request(method, path, places, query=query, body=body, if_version=if_version)
        said = self._answer(request, harmless=harmless)
        return TypeAdapter(answer).validate_json(said.content)

    def do(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Body | None = None,
        if_version: int | None = None,
        harmless: bool = False,
        **places: object,
    ) -> None:
        """Ask for what has no answer but that it was done. As `ask`."""
        request = self._request(method, path, places, query=query, body=body, if_version=if_version)
        self._answer(request, harmless=harmless)

    def pages(
        self,
        path: str,
        page: type[Page[T]],
        *,
        limit: int | None = None,
        query: Query | None = None,
        **places: object,
    ) -> Iterator[T]:
        """GET a list, page by page as far as it is wanted. limit: items at most, None: all."""
        cursor, left = None, limit
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            asked = {**(query or {}), "cursor": cursor, "limit": size}
            said = self._answer(self._request("GET", path, places, query=asked))
            found = TypeAdapter(page).validate_json(said.content)
            yield from found.items
            cursor = found.next_cursor
            if cursor is None:
                return
            left = None if left is None else left - len(found.items)

    def save(
        self,
        method: str,
        path: str,
        into: BinaryIO,
        *,
        query: Query | None = None,
        body: Body | None = None,
        **places: object,
    ) -> int:
        """Ask for a file and write it; return its bytes. Not tried again once it has begun."""
        request = self._request(method, path, places, query=query, body=body)
        request.extensions["timeout"] = httpx.Timeout(DOWNLOAD_PATIENCE_S).as_dict()
        with self.opened(request) as answer:
            return sum(into.write(piece) for piece in answer.iter_bytes())

    @contextmanager
    def opened(self, request: httpx.Request) -> Iterator[httpx.Response]:
        """Send, and lend the answer while it comes. What breaks meanwhile is Unavailable."""
        try:
            answer = self._client.send(request, stream=True)
            try:
                if not answer.is_success:
                    answer.read()
                    raise refusal_of(answer)
                yield answer
            finally:
                answer.close()
        except httpx.TransportError as error:
            raise self._unanswered(error) from error

    def listening(
        self, path: str, *, query: Query, last_event_id: str | None, patience_s: float
    ) -> httpx.Request:
        """Return a request for server-sent events. patience_s: for which nothing may come."""
        request = self._request("GET", path, {}, query=query)
        request.headers["Accept"] = "text/event-stream"
        if last_event_id is not None:
            request.headers["Last-Event-ID"] = last_event_id
        request.extensions["timeout"] = httpx.Timeout(PATIENCE_S, read=patience_s).as_dict()
        return request

    def _answer(self, request: httpx.Request, *, harmless: bool = False) -> httpx.Response:
        harmless = harmless or request.method == "GET"
        for attempt in count(1):
            try:
                with self.opened(request) as answer:
                    answer.read()
                return answer
            except ApiError as error:
                if attempt >= self._tries or not _may_go_again(error, harmless=harmless):
                    raise
                self.rest(pause_s(attempt, error))
        raise AssertionError("unreachable")

    def _request(
        self,
        method: str,
        path: str,
        places: Mapping[str, object],
        *,
        query: Query | None = None,
        body: Body | None = None,
        if_version: int | None = None,
    ) -> httpx.Request:
        headers = {} if if_version is None else {"If-Match": f'"{if_version}"'}
        content: dict[str, Any] = {}
        if isinstance(body, str):
            headers["Content-Type"] = "application/yaml"
            content["content"] = body.encode()
        elif body is not None:
            content["json"] = _plain(body)
        named = {name: quote(str(value), safe="") for name, value in places.items()}
        return self._client.build_request(
            method,
            path.format(**named) if named else path,
            params=_asked(query or {}),
            headers=headers,
            **content,
        )

    def _unanswered(self, error: httpx.TransportError) -> Unavailable:
        code = "client.unreachable" if isinstance(error, _NEVER_ARRIVED) else "client.broken"
        return Unavailable(NO_ANSWER, code, f"nothing answers at {self.url}: {error}")


def given(**values: object) -> dict[str, object]:
    """Return what was given: what is None is left to the server."""
    return {name: value for name, value in values.items() if value is not None}


def pause_s(attempt: int, error: ApiError) -> float:
    """Return how long to wait after an attempt, the first one being 1.

    As long as the server says, and up to a pause that doubles each time, so that many who were
    turned away at once do not come back at once.
    """
    grown_s = min(_FIRST_PAUSE_S * 2 ** (attempt - 1), WAIT_MAX_S)
    return (error.retry_after_s or 0.0) + random.uniform(0.0, grown_s)


def _may_go_again(error: ApiError, *, harmless: bool) -> bool:
    if (error.retry_after_s or 0.0) > WAIT_MAX_S:
        return False
    match error:
        case Limited():
            return True
        case Unavailable():
            return harmless or error.code == "client.unreachable"
    return False


def _plain(body: BaseModel | Mapping[str, Any]) -> Any:
    if isinstance(body, BaseModel):
        return body.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return to_jsonable_python(body)


def _asked(query: Query) -> dict[str, Any]:
    return {
        _SAYS_NAME.get(name, name): to_jsonable_python(value)
        for name, value in query.items()
        if value is not None
    }
