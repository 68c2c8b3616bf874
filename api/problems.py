"""Refusals: one error type, and one table from exceptions to RFC 9457 problem documents.

Every refusal has a stable dotted code. What went wrong inside is logged and never shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.database import DatabaseUnavailable, QueryTooSlow

log = structlog.get_logger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
ErrorPage = Callable[[Request, "ApiError"], Response | None]
OnRefusal = Callable[[Request, "ApiError"], None]


class ApiError(Exception):
    """A request that is refused: HTTP status, stable code, one sentence, and more members."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members


def unauthenticated() -> ApiError:
    """No valid credential. One text for every cause, so that nothing can be learnt from it."""
    return ApiError(
        401,
        "auth.unauthenticated",
        "Send an API key in X-API-Key or Authorization: Bearer, or sign in.",
        headers={"WWW-Authenticate": 'Bearer realm="betrace"'},
    )


def forbidden(permission: str) -> ApiError:
    """The caller is known and may not do this."""
    return ApiError(403, "auth.forbidden", f"This needs the permission {permission}.")


def not_in_anothers_place() -> ApiError:
    """The caller acts in somebody's place, and this is for that person alone."""
    return ApiError(
        403,
        "auth.acting",
        "You act in somebody's place. Keys, members, settings of the tenant and the account itself "
        "are left to the person: ask them to do it.",
    )


def not_found(what: str) -> ApiError:
    """No such thing in this tenant; the same whether or not another tenant has it."""
    return ApiError(404, "request.not_found", f"There is no such {what}.")


def stale(what: str, *, current: int) -> ApiError:
    """Somebody else changed it in between."""
    return ApiError(
        409,
        "request.stale_version",
        f"The {what} was changed in the meantime: it has version {current} now. Read it again.",
        current_version=current,
    )


def unavailable(code: str, detail: str, *, retry_after_s: int = 1) -> ApiError:
    """A server we depend on does not answer."""
    return ApiError(503, code, detail, headers={"Retry-After": str(retry_after_s)})


def install_handlers(
    app: FastAPI, *, error_page: ErrorPage | None = None, on_refusal: OnRefusal | None = None
) -> None:
    """Answer every exception as a problem document.

    error_page: asked first for paths outside /api/; None from it means the document.
    on_refusal: told of every refusal before it is answered, on the event loop: what it writes to
    belongs to that thread.
    """

    def answer(request: Request, error: ApiError) -> Response:
        if on_refusal is not None:
            on_refusal(request, error)
        if error_page is not None and not request.url.path.startswith("/api/"):
            page = error_page(request, error)
            if page is not None:
                return page
        return problem_response(request, error)

    def handler(
        as_api_error: Callable[[Any], ApiError],
    ) -> Callable[[Request, Exception], Awaitable[Response]]:
        # Not a plain function: Starlette calls those in another thread.
        async def handle(request: Request, error: Exception) -> Response:
            return answer(request, as_api_error(error))

        return handle

    for exception, as_api_error in _TABLE.items():
        app.add_exception_handler(exception, handler(as_api_error))
    app.add_middleware(_Rim, answer=answer)


def problem_response(request: Request, error: ApiError) -> JSONResponse:
    """Render a refusal as application/problem+json."""
    body = {
        "type": f"urn:betrace:problem:{error.code}",
        "title": _TITLES.get(error.status, "Refused"),
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        "instance": request.url.path,
        "request_id": getattr(request.state, "request_id", ""),
        **error.members,
    }
    return JSONResponse(body, error.status, headers=error.headers, media_type=MEDIA_TYPE)


def _of_validation(error: RequestValidationError) -> ApiError:
    errors = [_violation(problem["loc"], problem["msg"]) for problem in error.errors()]
    return ApiError(400, "request.invalid", "The request has invalid fields.", errors=errors)


def _violation(location: Sequence[int | str], message: str) -> dict[str, str]:
    """Return one of the things that are wrong with a request.

    Of a body with a JSON pointer (RFC 6901) into it, as a fragment; else with where it stands:
    query, path, header or cookie.
    """
    place, *path = [str(part) for part in location] or ["body"]
    said = {"field": ".".join([place, *path]), "message": message}
    if place != "body":
        return {**said, "in": place}
    steps = (step.replace("~", "~0").replace("/", "~1") for step in path)
    return {**said, "in": place, "pointer": "#" + "".join(f"/{step}" for step in steps)}


def _of_http(error: HTTPException) -> ApiError:
    code = _HTTP_CODES.get(error.status_code, "request.refused")
    return ApiError(error.status_code, code, str(error.detail), headers=error.headers)


def _of_outage(error: DatabaseUnavailable) -> ApiError:
    log.error("database.unavailable", cause=str(error.__cause__))
    return unavailable("database.unavailable", "The database does not answer. Try again.")


def _of_slow_query(_: QueryTooSlow) -> ApiError:
    return ApiError(
        504, "database.too_slow", "The query took too long. Ask for a narrower range of time."
    )


class _Rim:
    """Answers a bug: logged once, 500 if nothing was sent yet. Within the other middleware."""

    def __init__(self, app: ASGIApp, *, answer: Callable[[Request, ApiError], Response]) -> None:
        self._app = app
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watching_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watching_send)
        except Exception as error:
            log.error("request.failed", exc_info=error)
            if started:
                return
            bug = ApiError(500, "internal", "Something went wrong here. It has been logged.")
            await self._answer(Request(scope), bug)(scope, receive, send)


_TABLE: Final[Mapping[type[Exception], Callable[[Any], ApiError]]] = {
    ApiError: lambda error: error,
    RequestValidationError: _of_validation,
    HTTPException: _of_http,
    DatabaseUnavailable: _of_outage,
    QueryTooSlow: _of_slow_query,
}

_HTTP_CODES: Final = {
    404: "request.not_found",
    405: "request.method",
    413: "request.too_large",
    415: "request.media_type",
}

_TITLES: Final = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    410: "Gone",
    412: "Precondition failed",
    413: "Too large",
    415: "Unsupported media type",
    421: "Misdirected request",
    422: "Not valid",
    428: "Precondition required",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
    504: "Timed out",
}
