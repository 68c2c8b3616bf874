"""What goes wrong when a script asks: an exception for each kind of refusal.

Every refusal of the API is a problem document (RFC 9457) with a stable dotted `code`; the class
says what a script can do about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx

NO_ANSWER: Final = 0
"""The status of what was never answered."""


class ApiError(Exception):
    """A request that did not succeed.

    status: of HTTP, NO_ANSWER without an answer. code: stable and dotted, as `rule.exists`. detail:
    one sentence. request_id: to ask the operator about. members: whatever else the problem says, as
    `errors`, `problems` or `current_version`.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        request_id: str = "",
        retry_after_s: float | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{detail} ({code})" if code else detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.members = dict(members or {})


class Invalid(ApiError):
    """What was sent does not make sense: 400, 413, 415 or 422; `members` say where."""


class Refused(ApiError):
    """The key is not good, or may not do this: 401 or 403."""


class NotFound(ApiError):
    """There is no such thing in the tenant of the key: 404 or 410."""


class Conflict(ApiError):
    """Something else is there, or somebody changed it in the meantime: 409 or 412."""


class Limited(ApiError):
    """Too many requests: 429. retry_after_s: when there is room again."""


class Unavailable(ApiError):
    """Nothing answers, or a server behind it does not: 502, 503, or no answer at all."""


_CLASSES: Final[Mapping[int, type[ApiError]]] = {
    400: Invalid,
    401: Refused,
    403: Refused,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    412: Conflict,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: Limited,
    502: Unavailable,
    503: Unavailable,
}
_READ: Final = frozenset({"type", "title", "status", "code", "detail", "instance", "request_id"})


def refusal_of(answer: httpx.Response) -> ApiError:
    """Return the refusal that an answer is. Its body has been read."""
    kind = _CLASSES.get(answer.status_code, ApiError)
    retry_after_s = _seconds(answer.headers.get("Retry-After", ""))
    try:
        problem = answer.json()
        return kind(
            answer.status_code,
            str(problem["code"]),
            str(problem["detail"]),
            request_id=str(problem.get("request_id", "")),
            retry_after_s=retry_after_s,
            members={name: value for name, value in problem.items() if name not in _READ},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        said = f"the server answered {answer.status_code}: {answer.text[:200]}"
        return kind(answer.status_code, "", said, retry_after_s=retry_after_s)


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() else None
