"""The people of a tenant in the browser: list, inviting, one member, leaving."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.account_routes import Alone
from api.auth.cookies import clear_session
from api.auth.principal import Permission, Principal, UserPrincipal
from api.invitations.delivery import Delivered
from api.invitations.model import EMAIL_LENGTH, address_of
from api.invitations.routes import InvitationId, deliver_of, take_back_of
from api.invitations.service import invite, list_invitations, renew_invitation
from api.keys.authority import authority_of
from api.members.authority import refuse_over
from api.members.routes import MemberId
from api.members.service import change_member, leave, list_members, read_member, remove_member
from api.problems import ApiError
from api.services import services_of
from api.web.render import render
from api.web.views.team import (
    ALWAYS,
    DONE,
    TEAM_HREF,
    InviteText,
    member_page,
    team_page,
    terms_of,
)
from api.web.views.words import Message, bad, good, sentence

router = APIRouter(include_in_schema=False)

PAGE_SIZE: Final = 100
Reader = Annotated[Principal, Depends(require(Permission.TENANT_READ))]
Keeper = Annotated[Principal, Depends(require(Permission.TENANT_WRITE))]
Word = Annotated[str, Form(max_length=50)]
_EXPECTED: Final = (400, 403, 409, 429)


@router.get(TEAM_HREF)
async def team(
    request: Request,
    who: Reader,
    cursor: Annotated[str, Query(max_length=500)] = "",
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show who is here. done: what a form has just done, said on top."""
    message = good(DONE[done]) if done in DONE else None
    return await _team(request, who, cursor=cursor, message=message)


@router.post(f"{TEAM_HREF}/invitations")
async def invite_somebody(
    request: Request,
    who: Keeper,
    email: Annotated[str, Form(max_length=EMAIL_LENGTH)] = "",
    role: Word = "",
    days: Word = ALWAYS,
) -> Response:
    """Invite an address; show the link, once, if no mail takes it there."""
    services = services_of(request)
    text = InviteText(email=email.strip(), role=role, days=days)
    try:
        made = await invite(
            services.pool,
            who.scope,
            address_of(email),
            terms_of(role, days),
            maker=services.invitation_maker,
            authority=authority_of(who),
        )
    except ValueError as error:
        return await _team(request, who, text=text, problem=bad(sentence(error)), status=400)
    except ApiError as error:
        if error.status not in _EXPECTED:
            raise
        return await _team(request, who, text=text, problem=bad(error.detail), status=error.status)
    return await _delivered(request, who, await deliver_of(request, who, made))


@router.post(f"{TEAM_HREF}/invitations/{{invitation_id}}/resend")
async def resend(request: Request, who: Keeper, invitation_id: InvitationId) -> Response:
    """Make another link and send it, or show it once."""
    services = services_of(request)
    try:
        made = await renew_invitation(
            services.pool,
            who.scope,
            invitation_id,
            maker=services.invitation_maker,
            authority=authority_of(who),
        )
    except ApiError as error:
        if error.status not in _EXPECTED:
            raise
        return await _team(request, who, message=bad(error.detail), status=error.status)
    return await _delivered(request, who, await deliver_of(request, who, made))


@router.post(f"{TEAM_HREF}/invitations/{{invitation_id}}/cancel")
async def cancel(request: Request, who: Keeper, invitation_id: InvitationId) -> Response:
    """Take an invitation back."""
    try:
        await take_back_of(request, who, invitation_id)
    except ApiError as error:
        if error.status not in (*_EXPECTED, 503):
            raise
        return await _team(request, who, message=bad(error.detail), status=error.status)
    return _back("cancelled")


@router.post(f"{TEAM_HREF}/leave")
async def leave_tenant(request: Request, who: Alone) -> Response:
    """Leave the tenant, and with it the session."""
    try:
        await leave(services_of(request).pool, who.principal.scope, who.user_id)
    except ApiError as error:
        if error.status not in _EXPECTED:
            raise
        return await _team(request, who.principal, message=bad(error.detail), status=error.status)
    response = RedirectResponse("/sign-in?done=left", 303)
    clear_session(response)
    return response


@router.get(f"{TEAM_HREF}/{{member_id}}")
async def one_member(request: Request, who: Keeper, member_id: MemberId) -> Response:
    """Show a member, with the forms for another role and for removing them."""
    return await _member(request, who, member_id)


@router.post(f"{TEAM_HREF}/{{member_id}}/role")
async def change(
    request: Request, who: Keeper, member_id: MemberId, role: Word = "", days: Word = ""
) -> Response:
    """Give a member other terms."""
    pool = services_of(request).pool
    before = await read_member(pool, who.scope, member_id)
    try:
        terms = terms_of(role, days, kept=before.terms.until)
        await change_member(pool, who.scope, member_id, terms, authority=authority_of(who))
    except ValueError as error:
        return await _member(request, who, member_id, problem=sentence(error), status=400)
    except ApiError as error:
        if error.status not in _EXPECTED:
            raise
        return await _member(request, who, member_id, problem=error.detail, status=error.status)
    return _back("changed")


@router.post(f"{TEAM_HREF}/{{member_id}}/remove")
async def remove(request: Request, who: Keeper, member_id: MemberId) -> Response:
    """Remove a member."""
    try:
        removed = await remove_member(
            services_of(request).pool,
            who.scope,
            member_id,
            authority=authority_of(who),
            by=who.user_id if isinstance(who, UserPrincipal) else None,
        )
    except ApiError as error:
        if error.status not in _EXPECTED:
            raise
        return await _member(request, who, member_id, problem=error.detail, status=error.status)
    return _back("keys" if removed.keys else "removed")


def _back(done: str) -> Response:
    return RedirectResponse(f"{TEAM_HREF}?done={done}", 303)


async def _delivered(request: Request, who: Principal, delivered: Delivered) -> Response:
    if delivered.problem and not delivered.link:
        return await _team(request, who, message=bad(delivered.problem), status=503)
    if not delivered.link:
        return _back("mailed")
    return await _team(request, who, handed=delivered)


async def _member(
    request: Request, who: Principal, member_id: UUID, *, problem: str = "", status: int = 200
) -> Response:
    member = await read_member(services_of(request).pool, who.scope, member_id)
    authority = authority_of(who)
    refuse_over(authority, member.terms.role)
    page = member_page(
        member,
        viewer=_address(who),
        authority=authority,
        now=datetime.now(UTC),
        message=bad(problem) if problem else None,
    )
    return render(request, "settings/member.html", page=page, status=status)


async def _team(
    request: Request,
    who: Principal,
    *,
    cursor: str = "",
    text: InviteText | None = None,
    message: Message | None = None,
    problem: Message | None = None,
    handed: Delivered | None = None,
    status: int = 200,
) -> Response:
    pool = services_of(request).pool
    may_write = who.may(Permission.TENANT_WRITE)
    members = await list_members(pool, who.scope, cursor=cursor or None, limit=PAGE_SIZE)
    invitations = (await list_invitations(pool, who.scope)).items if may_write else ()
    page = team_page(
        members.items,
        invitations,
        viewer=_address(who),
        authority=authority_of(who),
        may_write=may_write,
        now=datetime.now(UTC),
        next_cursor=members.next_cursor or "",
        text=text,
        message=message,
        problem=problem,
        handed=handed,
    )
    return render(request, "settings/team.html", page=page, status=status)


def _address(who: Principal) -> str:
    return who.email if isinstance(who, UserPrincipal) else ""
