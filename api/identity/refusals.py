"""What somebody is told whom a provider's sign-in did not lead in. Each says what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from api.identity.tokens import SENTENCES
from api.problems import ApiError

_AGAIN: Final = "Begin again from the sign-in page."
_REFUSALS: Final[Mapping[str, tuple[int, str]]] = {
    "none": (404, "No identity provider is set up here. Sign in with a password."),
    "state": (
        400,
        "This sign-in was not begun in this browser, was used already, or took longer than ten "
        f"minutes. {_AGAIN}",
    ),
    "answer": (400, f"The provider's answer came from another issuer. {_AGAIN}"),
    "code": (
        401,
        "The provider does not accept the code of this sign-in: it was used already or is too "
        f"old. {_AGAIN}",
    ),
    "client": (
        401,
        "The provider does not accept this service as its client. Ask the operator to compare "
        "client id, secret and redirect address with what is registered there.",
    ),
    "second_factor": (
        403,
        "The provider did not ask for a second factor, and this service wants one. Set one up "
        "there, then sign in again.",
    ),
    "no_mail": (
        403,
        "The provider does not say your address of mail. Ask the operator to let it send the claim "
        "email (scope email).",
    ),
    "not_granted": (
        403,
        "The provider knows you, but nothing it says of you gives you a place here. Send the "
        "operator what is written below.",
    ),
    "mail_taken": (
        409,
        "There is an account with your address here already, with a password. Sign in with that, "
        "and link it under Settings, Account. If it is not yours, ask the operator.",
    ),
    "disabled": (403, "Your account here is switched off. Ask the operator."),
    "acting": (
        403,
        "You act in somebody's place at the provider, and that makes or links no account here. The "
        "person signs in themselves first.",
    ),
    "other_session": (
        403,
        "You are not signed in any more as whoever wanted to link an account. Sign in, and begin "
        "again under Settings, Account.",
    ),
    "linked_elsewhere": (
        409,
        "That account at the provider belongs to another account here. Whoever uses that one "
        "unlinks it first, under Settings, Account.",
    ),
    "linked_already": (
        409,
        "Your account is linked with another account at the provider. Unlink that one first.",
    ),
    "not_linked": (409, "Your account is not linked."),
}


class IdentityRefused(ApiError):
    """A refusal. reason: for the record, where that says more; user_id: whom it meant, if known."""

    def __init__(
        self,
        status: int,
        code: str,
        sentence: str,
        *,
        reason: str = "",
        user_id: UUID | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, code, sentence, headers=headers)
        self.reason = reason or code
        self.user_id = user_id


def refused(name: str, *, user_id: UUID | None = None) -> IdentityRefused:
    """Return the refusal of the table, with the code identity.<name>."""
    status, sentence = _REFUSALS[name]
    return IdentityRefused(status, f"identity.{name}", sentence, user_id=user_id)


def provider_said(error: str) -> IdentityRefused:
    """Return the refusal for an error code that the provider sent along (RFC 6749, 4.1.2.1)."""
    known = error if error.isascii() and error.replace("_", "").isalpha() else "no code"
    return IdentityRefused(
        401,
        "identity.provider_refused",
        f"The provider did not sign you in ({known[:50]}). {_AGAIN}",
    )


def token_refused(reason: str) -> IdentityRefused:
    """Return the refusal of an ID token. reason: of tokens.SENTENCES."""
    return IdentityRefused(
        401,
        "identity.token",
        f"The provider's ID token cannot be trusted: it {SENTENCES[reason]}. Begin again; if that "
        "does not help, ask the operator.",
        reason=f"identity.token.{reason}",
    )


def provider_away() -> IdentityRefused:
    """Return the refusal while the provider does not answer."""
    return IdentityRefused(
        503,
        "identity.unavailable",
        "The identity provider does not answer. Try again in a moment.",
        headers={"Retry-After": "5"},
    )
