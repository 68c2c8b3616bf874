"""The routes that need no credential: all of them, and nothing else.

An application with another open route does not start (`api.auth.access.refuse_undeclared`).
"""

from __future__ import annotations

from typing import Final

PUBLIC: Final = frozenset(
    {
        ("GET", "/"),
        ("GET", "/api/v1/openapi.json"),
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/sign-in"),
        ("GET", "/static/{path:path}"),
        ("POST", "/api/v1/session"),
        ("POST", "/preferences/theme"),
        ("POST", "/sign-in"),
    }
)
"""Method and path. They show no tenant's data: a form, an icon, a description, a sign of life."""
