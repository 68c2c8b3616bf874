"""Pages that only say something, and the page for signing in."""

from __future__ import annotations

from dataclasses import dataclass

from api.web.views.words import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What happened, in a title and a sentence, and where to go. reference: for the operator."""

    title: str
    detail: str
    icon: str
    reference: str
    actions: tuple[Link, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInPage:
    """The form. csrf_token: equals a cookie, since there is no session to hold it yet."""

    problem: str
    csrf_token: str
    next: str
    email: str
