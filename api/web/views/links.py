"""Addresses of pages that hold user-made parts."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

NEW_RULE_HREF: Final = "/rules/new"


def rule_href(rule_id: str) -> str:
    """Return the address of a rule's page."""
    return f"/rules/{quote(rule_id, safe='')}"


def web_href(url: str) -> str:
    """Return a user's URL if it leads to the web, else nothing: `javascript:` is a URL too."""
    return url if url.startswith(("https://", "http://")) else ""


def local_path(path: str, *, otherwise: str) -> str:
    """Return a path of this site, for going back there; anything else is `otherwise`.

    Browsers read `//host` and `/\\host` as addresses of another host.
    """
    local = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if local and path.isprintable() else otherwise


def difference_href(rule_id: str, *, was: int, now: int) -> str:
    """Return where two versions of a rule stand side by side."""
    return f"{rule_href(rule_id)}/difference?was={was}&now={now}"
