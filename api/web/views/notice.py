"""Pages that only say something, and the page for signing in."""

from __future__ import annotations

from dataclasses import dataclass

from api.web.views.words import Link, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What happened, in a title and a sentence, and where to go. reference: for the operator."""

    title: str
    detail: str
    icon: str
    reference: str
    actions: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class ProviderButton:
    """A way in by the identity provider."""

    label: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInPage:
    """The ways in. csrf_token: equals a cookie, since there is no session to hold it yet.

    passwords: whether the form for them is shown; provider: None where there is none.
    """

    problem: str
    csrf_token: str
    next: str
    email: str
    message: Message | None = None
    passwords: bool = True
    provider: ProviderButton | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodePage:
    """The form for the second step of signing in."""

    problem: str
    csrf_token: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetPage:
    """The form for a forgotten password. token: of the link; empty if the link is over."""

    problems: tuple[str, ...]
    token: str
    least: int
