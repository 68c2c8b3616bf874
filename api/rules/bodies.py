"""Bodies that hold rules: which forms are taken, and how they become text."""

from __future__ import annotations

from fastapi import Request

from api.problems import ApiError
from api.rules.definitions import Form

_FORMS = {
    "application/json": Form.JSON,
    "application/yaml": Form.YAML,
    "application/x-yaml": Form.YAML,
    "text/yaml": Form.YAML,
    "text/x-yaml": Form.YAML,
}
PLAIN = "text/plain"


def media_type(request: Request) -> str:
    """Return the media type of the body without parameters, in lower case."""
    return request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()


def form_of(request: Request) -> Form:
    """Return how the rule object in the body is written. Raises ApiError 415."""
    form = _FORMS.get(media_type(request))
    if form is None:
        raise ApiError(
            415, "request.media_type", "Send the rule as application/json or application/yaml."
        )
    return form


async def text_of(request: Request) -> str:
    """Return the body as text. Raises ApiError 400 if it is not UTF-8."""
    try:
        return (await request.body()).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ApiError(400, "request.malformed", "The body is not UTF-8.") from error
