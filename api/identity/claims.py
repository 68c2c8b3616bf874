"""Who somebody is according to a provider, read out of its claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

EMAIL_LENGTH: Final = 320
NAME_LENGTH: Final = 200
VALUES_LENGTH: Final = 500
"""So many groups are looked at; a token of more than 8 KB is refused anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What claims say of somebody's place: the organisations and the groups that they name."""

    organisations: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """A person whom a provider has vouched for just now.

    kept: what signing out at the provider will need. acting: who acts in the person's place there
    (the claim `act`), empty: nobody.
    """

    issuer: str
    subject: str
    email: str
    email_verified: bool
    name: str
    standing: Standing
    kept: str = ""
    acting: str = ""


def standing_of(claims: Mapping[str, Any], *, tenant_claim: str, role_claim: str) -> Standing:
    """Return what the two configured claims say. An empty name is a claim that nobody has."""
    return Standing(
        organisations=texts_at(claims, tenant_claim), groups=texts_at(claims, role_claim)
    )


def texts_at(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """Return the texts of a claim: one, or a list of them; nothing of any other kind.

    name: the claim, else a path with dots to it, as realm_access.roles. Names with dots in them
    (https://example.com/roles) are looked for as they are first.
    """
    value = claims[name] if name in claims else _at_path(claims, name)
    values = value if isinstance(value, list) else [value]
    texts = [text for text in values[:VALUES_LENGTH] if isinstance(text, str) and text]
    return frozenset(text for text in texts if text.isprintable())


def email_of(claims: Mapping[str, Any]) -> str:
    """Return the address of mail in lower case, empty if there is none that could be one."""
    email = claims.get("email")
    if not isinstance(email, str) or not 3 <= len(email) <= EMAIL_LENGTH or "@" not in email:
        return ""
    return email.lower() if email.isprintable() else ""


def name_of(claims: Mapping[str, Any]) -> str:
    """Return what the person is called, the address if nothing says."""
    for claim in ("name", "preferred_username"):
        name = claims.get(claim)
        if isinstance(name, str) and name.strip():
            return "".join(letter for letter in name.strip() if letter.isprintable())[:NAME_LENGTH]
    return email_of(claims)


def acting_of(claims: Mapping[str, Any]) -> str:
    """Return who acts in the person's place (RFC 8693, 4.1), empty if nobody does.

    Raises ValueError for a claim that names nobody: that is not the same as nobody.
    """
    act = claims.get("act")
    if act is None:
        return ""
    actor = act.get("sub") if isinstance(act, Mapping) else None
    if not isinstance(actor, str) or not 0 < len(actor) <= EMAIL_LENGTH or not actor.isprintable():
        raise ValueError("the claim act names nobody")
    return actor


def _at_path(claims: Mapping[str, Any], path: str) -> object:
    value: object = claims
    for part in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value
