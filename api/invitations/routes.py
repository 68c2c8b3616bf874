"""/invitations: inviting, sending again, cancelling; and accepting, which is open to everybody."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request

from api.auth.access import anyone, require, session_token
from api.auth.principal import Permission, Principal, UserPrincipal
from api.auth.sign_in import local_off
from api.ids import id_of
from api.invitations.accepting import Offer, accept_as, accept_with_new_account
from api.invitations.by_provider import take_back
from api.invitations.delivery import Delivered, deliver
from api.invitations.model import Invitation, Made
from api.invitations.schemas import (
    AcceptanceBody,
    AcceptedBody,
    DeliveredBody,
    InvitationBody,
    InvitationDraftBody,
    InvitationPageBody,
)
from api.invitations.service import (
    PAGE_MAX,
    invite,
    list_invitations,
    renew_invitation,
)
from api.keys.authority import authority_of
from api.problems import ApiError, not_in_anothers_place
from api.services import services_of
from api.tenants.service import read_tenant

router = APIRouter(prefix="/invitations", tags=["members"])

Keeper = Annotated[Principal, Depends(require(Permission.TENANT_WRITE))]


def invitation_id_of(
    invitation_id: Annotated[str, Path(examples=["6f1f4a0e-8a57-4c0b-9d43-0f2f7c3d0a11"])],
) -> UUID:
    """Return the id in a path; one that is none is of no invitation. Raises ApiError 404."""
    return id_of(invitation_id, "invitation")


InvitationId = Annotated[UUID, Depends(invitation_id_of)]


@router.get("")
async def read_invitations(
    request: Request,
    principal: Keeper,
    ended: bool = False,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> InvitationPageBody:
    """List invitations, newest first: open ones, with `ended` also accepted and cancelled ones."""
    page = await list_invitations(
        services_of(request).pool, principal.scope, ended=ended, cursor=cursor, limit=limit
    )
    items = [InvitationBody.of(each) for each in page.items]
    return InvitationPageBody(items=items, next_cursor=page.next_cursor)


@router.post("", status_code=201)
async def create_invitation(
    request: Request, principal: Keeper, body: InvitationDraftBody
) -> DeliveredBody:
    """Invite an address. The link goes by mail; without a mail server the answer holds it, once.

    409 for a member, and for an address that has an open invitation.
    """
    services = services_of(request)
    made = await invite(
        services.pool,
        principal.scope,
        body.email,
        body.terms,
        maker=services.invitation_maker,
        authority=authority_of(principal),
    )
    return DeliveredBody.delivered(await deliver_of(request, principal, made))


@router.post("/accept", dependencies=[Depends(anyone)])
async def accept_invitation(request: Request, body: AcceptanceBody) -> AcceptedBody:
    """Accept an invitation: with a new account for its address, or signed in as its person.

    410 for a link that is over, 409 `invitation.sign_in` if the address has an account.
    """
    offer = await accept(request, body.token, name=body.name, password=body.password)
    return AcceptedBody(
        tenant_id=offer.tenant_id, tenant_name=offer.tenant_name, role=offer.terms.role
    )


@router.post("/{invitation_id}/resend")
async def resend_invitation(
    request: Request, principal: Keeper, invitation_id: InvitationId
) -> DeliveredBody:
    """Make another link and send it. The one before opens nothing any more."""
    services = services_of(request)
    made = await renew_invitation(
        services.pool,
        principal.scope,
        invitation_id,
        maker=services.invitation_maker,
        authority=authority_of(principal),
    )
    return DeliveredBody.delivered(await deliver_of(request, principal, made))


@router.post("/{invitation_id}/cancel")
async def cancel(
    request: Request, principal: Keeper, invitation_id: InvitationId
) -> InvitationBody:
    """Take an invitation back. Again does no harm; 409 for one that was accepted."""
    return InvitationBody.of(await take_back_of(request, principal, invitation_id))


async def take_back_of(request: Request, principal: Principal, invitation_id: UUID) -> Invitation:
    """Cancel an invitation, wherever it was sent. Raises ApiError."""
    services = services_of(request)
    return await take_back(
        services.pool,
        principal.scope,
        invitation_id,
        authority=authority_of(principal),
        inviter=services.inviter,
    )


async def deliver_of(request: Request, principal: Principal, made: Made) -> Delivered:
    """Send an invitation as the settings say.

    A link that is handed over may begin with what the browser at hand calls us; a mail never does.
    """
    services = services_of(request)
    settings = services.settings
    tenant = await read_tenant(services.pool, principal.scope)
    return await deliver(
        services.pool,
        principal.scope,
        made,
        mailer=services.mailer,
        site=settings.site if settings.public_url else str(request.base_url).rstrip("/"),
        tenant_name=tenant.title,
        inviter=services.inviter,
    )


async def accept(request: Request, token: str, *, name: str, password: str) -> Offer:
    """Accept for whoever is signed in, else with a new account. Raises ApiError."""
    services = services_of(request)
    session = session_token(request)
    if session is None or await services.sessions.find(session) is None:
        if not services.settings.local_accounts:
            raise local_off()
        return await accept_with_new_account(
            services.pool,
            token,
            maker=services.invitation_maker,
            passwords=services.passwords,
            name=name,
            password=password,
        )
    who = await services.authenticator.principal(request)
    if not isinstance(who, UserPrincipal):
        raise ApiError(403, "account.people_only", "API keys belong to a tenant: sign in.")
    request.state.principal = who
    if who.acting:
        raise not_in_anothers_place()
    return await accept_as(services.pool, token, who, maker=services.invitation_maker)
