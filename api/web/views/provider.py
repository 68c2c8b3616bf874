"""The pages of signing in by a provider: where it did not lead in, and on the way to it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from api.identity.sign_in import Unplaced
from api.problems import ApiError

_TITLES: Final[Mapping[int, str]] = {
    400: "That sign-in cannot go on",
    401: "The provider did not sign you in",
    403: "No way in yet",
    404: "No provider here",
    409: "Two accounts, one person",
    503: "The provider does not answer",
}
ANEW_HREF: Final = "/sign-in/provider?anew=true"
_SHOWN: Final = 20
"""So many groups are named."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of what the provider says of somebody."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedPage:
    """Why, and what to send the operator. command: what the operator may type then.

    anew_href: to sign in as somebody else, empty where that is of no use.
    """

    title: str
    detail: str
    anew_href: str = ""
    facts: tuple[Fact, ...] = ()
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnwardPage:
    """A page that leads on to the provider by itself, and by a button."""

    title: str
    detail: str
    href: str
    label: str


def refused_page(error: ApiError) -> RefusedPage:
    """Return the page of a refusal."""
    return RefusedPage(
        title=_TITLES.get(error.status, "Something went wrong"),
        detail=error.detail,
        anew_href=ANEW_HREF if error.status in (403, 409) else "",
    )


def unplaced_page(who: Unplaced) -> RefusedPage:
    """Return the page for somebody whom nothing gives a place here."""
    organisations, groups = sorted(who.standing.organisations), sorted(who.standing.groups)
    return RefusedPage(
        title=_TITLES[403],
        detail=who.refusal.detail,
        anew_href=ANEW_HREF,
        facts=(
            Fact("Provider", who.issuer),
            Fact("Subject", who.subject),
            Fact("Organisations", ", ".join(organisations[:_SHOWN]) or "none named"),
            Fact("Groups", ", ".join(groups[:_SHOWN]) or "none named"),
        ),
        command=_command(organisations, groups),
    )


def leave_page(label: str, href: str) -> OnwardPage:
    """Return the page of somebody who has signed out here, and now does at the provider."""
    return OnwardPage(
        title="You are signed out here",
        detail=f"{label} still knows you. Go on to sign out there as well.",
        href=href,
        label=f"Sign out at {label}",
    )


def link_page(label: str, href: str) -> OnwardPage:
    """Return the page that leads to the provider, to link an account."""
    return OnwardPage(
        title=f"On to {label}",
        detail="Sign in there. You come back here, and the accounts are linked.",
        href=href,
        label=f"Go on to {label}",
    )


def _command(organisations: list[str], groups: list[str]) -> str:
    """Return the command, an option to a line, as a shell takes it."""
    parts = ["betrace identity grant --tenant TENANT", "--role viewer"]
    if len(organisations) == 1:
        parts.append(f"--organisation {shlex.quote(organisations[0])}")
    parts.append(f"--group {shlex.quote(groups[0])}" if groups else "--anybody")
    return " \\\n  ".join(parts)
