"""The pages of a team: members, invitations, one member, and accepting an invitation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final
from urllib.parse import urlencode, urlsplit

from api.auth.principal import Role
from api.invitations.accepting import Offer
from api.invitations.delivery import Delivered
from api.invitations.model import Invitation, InvitationState
from api.keys.authority import Authority
from api.members.authority import may_decide
from api.members.model import PEOPLE_ROLES, Member, Terms
from api.web.views.moments import Moment, minute_moment, moment
from api.web.views.words import Choice, Message, choices

TEAM_HREF: Final = "/settings/team"
ROLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        Role.ADMIN: "Admin",
        Role.DEVELOPER: "Developer",
        Role.SRE: "SRE",
        Role.COMPLIANCE_VIEWER: "Compliance viewer",
        Role.AUDITOR: "Auditor",
        Role.VIEWER: "Viewer",
    }
)
ROLE_HINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        Role.ADMIN: "everything, with people, keys and settings",
        Role.DEVELOPER: "writes rules and sees what they find",
        Role.SRE: "works on signals, tries rules and saves none",
        Role.COMPLIANCE_VIEWER: "sees the audit log and the settings",
        Role.AUDITOR: "for a time: sees rules, signals and the audit log",
        Role.VIEWER: "sees the settings and who is here",
    }
)
ALWAYS: Final = "always"
SPANS: Final[Mapping[str, str]] = MappingProxyType(
    {ALWAYS: "Without an end", "7": "7 days", "30": "30 days", "90": "90 days", "365": "A year"}
)
"""Days of a membership to words."""
KEPT: Final = "kept"
DONE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "mailed": "The invitation is on its way.",
        "cancelled": "The invitation is cancelled. Its link opens nothing any more.",
        "changed": "Changed. It holds from their next click on.",
        "removed": "Removed, and signed out of this tenant.",
        "keys": "Removed, and signed out of this tenant. API keys that they made go on: look at "
        "them under API keys.",
    }
)
_SOON: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow:
    """One member. href: empty for oneself and for whom the viewer may not decide about."""

    name: str
    email: str
    role: str
    is_self: bool
    ended: bool
    until: Moment | None
    ends_soon: bool
    last_seen: Moment | None
    joined: Moment
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationRow:
    """An open invitation. Actions: empty where the viewer may not."""

    email: str
    role: str
    expired: bool
    way: str
    expires: Moment
    invited_by: str
    resend_action: str
    cancel_action: str


@dataclass(frozen=True, slots=True)
class HandOver:
    """A link to be shown once. problem: why it was not mailed, empty without a mail server."""

    email: str
    link: str
    problem: str
    expires: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteText:
    """What a person has put into the form."""

    email: str = ""
    role: str = Role.DEVELOPER.value
    days: str = ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamPage:
    """The page. roles: empty for those who may invite nobody."""

    members: tuple[MemberRow, ...]
    invitations: tuple[InvitationRow, ...]
    text: InviteText
    roles: tuple[Choice, ...]
    spans: tuple[Choice, ...]
    older_href: str
    message: Message | None
    problem: Message | None
    handed: HandOver | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberPage:
    """The page of one member."""

    row: MemberRow
    roles: tuple[Choice, ...]
    spans: tuple[Choice, ...]
    role_hints: tuple[tuple[str, str], ...]
    change_action: str
    remove_action: str
    message: Message | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferPage:
    """What a link offers. step: over, sign-in, join, other (of another person), or account.

    signed_in_as: who looks, empty for nobody. next_href: where signing in leads back from.
    """

    step: str
    has_account: bool = False
    tenant: str = ""
    email: str = ""
    role: str = ""
    hint: str = ""
    invited_by: str = ""
    signed_in_as: str = ""
    action: str = ""
    sign_in_href: str = ""
    name: str = ""
    least: int = 0
    problems: tuple[str, ...] = ()


def team_page(
    members: Sequence[Member],
    invitations: Sequence[Invitation],
    *,
    viewer: str,
    authority: Authority,
    may_write: bool,
    now: datetime,
    next_cursor: str = "",
    text: InviteText | None = None,
    message: Message | None = None,
    problem: Message | None = None,
    handed: Delivered | None = None,
) -> TeamPage:
    """Return the page of a tenant's people.

    viewer: the address of who looks. handed: an invitation whose link is shown once.
    """
    typed = text or InviteText()
    return TeamPage(
        members=tuple(
            _member_row(
                member,
                viewer=viewer,
                now=now,
                may_change=may_write and may_decide(authority, member.terms.role),
            )
            for member in members
        ),
        invitations=tuple(_invitation_row(each, authority) for each in invitations),
        text=typed,
        roles=_roles(authority, typed.role) if may_write else (),
        spans=choices(SPANS, typed.days),
        older_href=f"{TEAM_HREF}?{urlencode({'cursor': next_cursor})}" if next_cursor else "",
        message=message,
        problem=problem,
        handed=_hand_over(handed) if handed else None,
    )


def member_page(
    member: Member,
    *,
    viewer: str,
    authority: Authority,
    now: datetime,
    message: Message | None = None,
) -> MemberPage:
    """Return the page of a member, with what the viewer may do about them."""
    row = _member_row(member, viewer=viewer, now=now, may_change=True)
    spans = {KEPT: "As it is now", **SPANS} if member.terms.until and not member.ended else SPANS
    return MemberPage(
        row=row,
        roles=_roles(authority, member.terms.role.value),
        spans=choices(spans, KEPT if KEPT in spans else ALWAYS),
        role_hints=tuple((ROLES[role], ROLE_HINTS[role]) for role in PEOPLE_ROLES),
        change_action=f"{TEAM_HREF}/{member.id}/role",
        remove_action="" if row.is_self else f"{TEAM_HREF}/{member.id}/remove",
        message=message,
    )


def offer_page(
    offer: Offer | None,
    token: str,
    *,
    signed_in_as: str,
    passwords: bool,
    least: int,
    name: str = "",
    problems: Sequence[str] = (),
) -> OfferPage:
    """Return the page of a link.

    passwords: whether people sign in with passwords here. least: characters of one.
    """
    if offer is None:
        return OfferPage(step="over")
    action = f"/invitations/{token}"
    return OfferPage(
        step=_step(offer, signed_in_as, passwords=passwords),
        has_account=offer.has_account,
        tenant=offer.tenant_name,
        email=offer.email,
        role=ROLES[offer.terms.role],
        hint=ROLE_HINTS[offer.terms.role],
        invited_by=offer.invited_by,
        signed_in_as=signed_in_as,
        action=action,
        sign_in_href=f"/sign-in?{urlencode({'next': action})}",
        name=name,
        least=least,
        problems=tuple(problems),
    )


def terms_of(role: str, days: str, *, kept: datetime | None = None) -> Terms:
    """Return the terms that a form names. kept: the end so far, for days "kept".

    Raises ValueError for what the form does not offer, and for what no membership can be.
    """
    if days == KEPT:
        return Terms(Role(role), kept)
    if days not in SPANS:
        raise ValueError("choose for how long somebody belongs to the tenant")
    until = None if days == ALWAYS else datetime.now(UTC) + timedelta(days=int(days))
    return Terms(Role(role), until)


def _step(offer: Offer, signed_in_as: str, *, passwords: bool) -> str:
    if signed_in_as:
        return "join" if signed_in_as == offer.email else "other"
    return "account" if passwords and not offer.has_account else "sign-in"


def _roles(authority: Authority, selected: str) -> tuple[Choice, ...]:
    granted: dict[str, str] = {
        role: ROLES[role] for role in PEOPLE_ROLES if may_decide(authority, role)
    }
    return choices(granted, selected)


def _member_row(member: Member, *, viewer: str, now: datetime, may_change: bool) -> MemberRow:
    until = member.terms.until
    return MemberRow(
        name=member.name,
        email=member.email,
        role=ROLES[member.terms.role],
        is_self=member.email == viewer,
        ended=member.ended,
        until=minute_moment(until) if until else None,
        ends_soon=until is not None and not member.ended and until - now < _SOON,
        last_seen=moment(member.last_seen_at) if member.last_seen_at else None,
        joined=moment(member.joined_at),
        href=f"{TEAM_HREF}/{member.id}" if may_change else "",
    )


def _invitation_row(invitation: Invitation, authority: Authority) -> InvitationRow:
    may = may_decide(authority, invitation.terms.role)
    href = f"{TEAM_HREF}/invitations/{invitation.id}"
    return InvitationRow(
        email=invitation.email,
        role=ROLES[invitation.terms.role],
        expired=invitation.state is InvitationState.EXPIRED,
        way=_way(invitation),
        expires=minute_moment(invitation.expires_at),
        invited_by=invitation.invited_by,
        resend_action=f"{href}/resend" if may else "",
        cancel_action=f"{href}/cancel" if may else "",
    )


def _way(invitation: Invitation) -> str:
    """Return how the invitation got to its person."""
    if invitation.issuer:
        return f"sent by {urlsplit(invitation.issuer).hostname}"
    return "mailed" if invitation.mailed_at else "link handed over"


def _hand_over(delivered: Delivered) -> HandOver | None:
    if not delivered.link:
        return None
    invitation = delivered.invitation
    return HandOver(
        invitation.email, delivered.link, delivered.problem, minute_moment(invitation.expires_at)
    )
