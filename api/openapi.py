"""The published description of the API: credentials, problem documents, what it is about."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

_DESCRIPTION: Final = """\
Promises about behaviour, judged on OpenTelemetry traces.

Send an API key in `X-API-Key` or `Authorization: Bearer`, or, where an identity provider is set up
for it, one of its access tokens as `Bearer`. Everything is seen from inside the tenant of the
credential: what belongs to another is not there (404). Refusals are `application/problem+json`
(RFC 9457) with a stable dotted `code`. Lists are pages `{items, next_cursor}`; pass `next_cursor`
as `cursor` until it is null.
"""

_PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "title": "Problem",
    "type": "object",
    "description": "RFC 9457; more members where a code has some.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:betrace:problem:request.not_found"]},
        "title": {"type": "string", "examples": ["Not found"]},
        "status": {"type": "integer", "examples": [404]},
        "code": {"type": "string", "examples": ["request.not_found"]},
        "detail": {"type": "string", "examples": ["There is no such rule."]},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
    },
}
_PROBLEM_RESPONSE: Final[dict[str, Any]] = {
    "description": "Refused",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def describe(app: FastAPI) -> None:
    """Complete the generated description of the application's REST routes."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    description=_DESCRIPTION,
                    routes=app.routes,
                    license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
                )
            )
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(schema: dict[str, Any]) -> dict[str, Any]:
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM_SCHEMA
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    components["securitySchemes"] = {
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "bearer": {"type": "http", "scheme": "bearer"},
        "session": {"type": "apiKey", "in": "cookie", "name": "betrace_session"},
        "operator": {
            "type": "apiKey",
            "in": "header",
            "name": "X-API-Key",
            "description": "A key that `betrace operator create` made; good for nothing else.",
        },
    }
    for path, operations in schema.get("paths", {}).items():
        for operation in operations.values():
            responses = operation["responses"]
            responses.pop("422", None) if not path.startswith("/api/v1/rules") else None
            responses["default"] = _PROBLEM_RESPONSE
            if "422" in responses:
                responses["422"] = _PROBLEM_RESPONSE
            if path.startswith("/api/v1/operator"):
                operation.setdefault("security", [{"operator": []}])
            elif path.startswith("/api/"):
                operation.setdefault("security", [{"key": []}, {"bearer": []}, {"session": []}])
    return schema
