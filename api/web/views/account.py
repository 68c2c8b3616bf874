"""The settings page of one's own account: password, second factor, sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import segno
from markupsafe import Markup

from api.auth.passwords import MIN_LENGTH
from api.auth.second_factor import Enrolment, FactorState
from api.auth.sessions import SessionInfo
from api.web.views.devices import device_name
from api.web.views.moments import Moment, moment
from api.web.views.words import Message

DONE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "password": "Your password is changed, and your other sessions are ended.",
        "factor-off": "The second factor is off.",
        "session": "The session is ended.",
        "others": "All your other sessions are ended.",
        "linked": "Your account is linked, and your other sessions are ended.",
        "unlinked": "Your account is not linked any more, and your other sessions are ended.",
    }
)
"""What a form has just done."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was wrong with a form, said in its panel. form: its name."""

    form: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session. acting: who acts in it in the person's place, empty: nobody.

    end_href: empty for the one at hand, which is ended by signing out.
    """

    device: str
    address: str
    last_seen: Moment
    since: Moment
    current: bool
    acting: str
    end_href: str


@dataclass(frozen=True, slots=True)
class EnrolmentView:
    """What the authenticator app is shown: the code as a picture, and the secret in groups."""

    picture: Markup
    secret: str


@dataclass(frozen=True, slots=True)
class Ways:
    """How the person signs in. provider: what it is called, empty if there is none."""

    password: bool = True
    provider: str = ""
    linked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPage:
    """The page. alone: nobody acts in the person's place, so that the forms are shown.

    refused: by the name of a form, the sentences to be said in it.
    """

    email: str
    alone: bool
    least: int
    factor_on: bool
    codes_left: int
    few_codes: bool
    enrolment: EnrolmentView | None
    recovery_codes: tuple[str, ...]
    sessions: tuple[SessionRow, ...]
    ways: Ways
    message: Message | None
    refused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def has_others(self) -> bool:
        """Whether there are other sessions to end."""
        return len(self.sessions) > 1


def account_page(
    email: str,
    state: FactorState,
    sessions: Sequence[SessionInfo],
    ways: Ways,
    *,
    alone: bool = True,
    enrolment: Enrolment | None = None,
    recovery_codes: Sequence[str] = (),
    message: Message | None = None,
    refusal: Refusal | None = None,
) -> AccountPage:
    """Return the page of an account."""
    return AccountPage(
        email=email,
        alone=alone,
        least=MIN_LENGTH,
        factor_on=state.on,
        codes_left=state.recovery_codes_left,
        few_codes=state.on and state.recovery_codes_left < 3,
        enrolment=_enrolment(enrolment) if enrolment else None,
        recovery_codes=tuple(recovery_codes),
        sessions=tuple(_row(session) for session in sessions),
        ways=ways,
        message=message,
        refused={refusal.form: refusal.sentences} if refusal else {},
    )


def _enrolment(enrolment: Enrolment) -> EnrolmentView:
    secret = enrolment.secret
    return EnrolmentView(
        qr_picture(enrolment.uri), " ".join(secret[i : i + 4] for i in range(0, len(secret), 4))
    )


def qr_picture(text: str) -> Markup:
    """Return a text as a QR code, an SVG element without styles of its own."""
    svg = segno.make(text, error="m").svg_inline(omitsize=True, svgclass="qr", lineclass=None)
    return Markup(svg)  # made of squares, holds nothing of the text


def _row(session: SessionInfo) -> SessionRow:
    return SessionRow(
        device=device_name(session.agent),
        address=session.address,
        last_seen=moment(session.last_seen_at),
        since=moment(session.created_at),
        current=session.current,
        acting=session.acting,
        end_href="" if session.current else f"/settings/account/sessions/{session.id}/end",
    )
