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
        ("GET", "/invitations/{token}"),
        ("GET", "/operator/sign-in"),
        ("GET", "/reset-password"),
        ("GET", "/sign-in"),
        ("GET", "/sign-in/code"),
        ("GET", "/sign-in/provider"),
        ("GET", "/sign-in/provider/callback"),
        ("GET", "/static/{path:path}"),
        ("POST", "/api/v1/invitations/accept"),
        ("POST", "/api/v1/session"),
        ("POST", "/invitations/{token}"),
        ("POST", "/operator/sign-in"),
        ("POST", "/preferences/theme"),
        ("POST", "/reset-password"),
        ("POST", "/sign-in"),
        ("POST", "/sign-in/code"),
    }
)
"""Method and path. They show no tenant's data: a form, an icon, a description, a sign of life."""
