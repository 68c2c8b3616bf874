"""People of a tenant, and those who are asked in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from api.client.connection import Connection
from api.invitations.schemas import (
    DeliveredBody,
    InvitationBody,
    InvitationDraftBody,
    InvitationPageBody,
)
from api.members.schemas import MemberBody, MemberPageBody, RemovedBody, TermsBody


@dataclass(frozen=True, slots=True)
class Members:
    """The members of the tenant."""

    _to: Connection

    def each(self, *, limit: int | None = None) -> Iterator[MemberBody]:
        """Yield members."""
        return self._to.pages("/members", MemberPageBody, limit=limit)

    def get(self, member_id: UUID) -> MemberBody:
        """Return a member."""
        return self._to.ask("GET", "/members/{member_id}", MemberBody, member_id=member_id)

    def set_terms(self, member_id: UUID, terms: TermsBody) -> MemberBody:
        """Say what a member may do, and until when."""
        return self._to.ask(
            "PUT",
            "/members/{member_id}",
            MemberBody,
            body=terms,
            harmless=True,
            member_id=member_id,
        )

    def remove(self, member_id: UUID) -> RemovedBody:
        """Remove a member from the tenant."""
        return self._to.ask("DELETE", "/members/{member_id}", RemovedBody, member_id=member_id)


@dataclass(frozen=True, slots=True)
class Invitations:
    """The invitations of the tenant."""

    _to: Connection

    def each(self, *, ended: bool = False, limit: int | None = None) -> Iterator[InvitationBody]:
        """Yield invitations, newest first. ended: those that are over as well."""
        return self._to.pages(
            "/invitations", InvitationPageBody, limit=limit, query={"ended": ended}
        )

    def invite(self, draft: InvitationDraftBody) -> DeliveredBody:
        """Ask somebody in, by mail or by a link that is told once."""
        return self._to.ask("POST", "/invitations", DeliveredBody, body=draft)

    def resend(self, invitation_id: UUID) -> DeliveredBody:
        """Send an invitation again; the link from before is good no more."""
        return self._to.ask(
            "POST",
            "/invitations/{invitation_id}/resend",
            DeliveredBody,
            invitation_id=invitation_id,
        )

    def cancel(self, invitation_id: UUID) -> InvitationBody:
        """Take an invitation back."""
        return self._to.ask(
            "POST",
            "/invitations/{invitation_id}/cancel",
            InvitationBody,
            invitation_id=invitation_id,
        )
