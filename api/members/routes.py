"""/members: who belongs to the tenant and as what; and /account/leave, belonging no more."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.auth.access import require
from api.auth.account_routes import Alone
from api.auth.cookies import clear_session
from api.auth.principal import Permission, Principal, UserPrincipal
from api.ids import id_of
from api.keys.authority import authority_of
from api.members.schemas import MemberBody, MemberPageBody, RemovedBody, TermsBody
from api.members.service import (
    PAGE_MAX,
    change_member,
    leave,
    list_members,
    read_member,
    remove_member,
)
from api.services import services_of

router = APIRouter(tags=["members"])

Reader = Annotated[Principal, Depends(require(Permission.TENANT_READ))]
Keeper = Annotated[Principal, Depends(require(Permission.TENANT_WRITE))]


def member_id_of(
    member_id: Annotated[str, Path(examples=["6f1f4a0e-8a57-4c0b-9d43-0f2f7c3d0a11"])],
) -> UUID:
    """Return the id in a path; one that is none belongs to nobody. Raises ApiError 404."""
    return id_of(member_id, "member")


MemberId = Annotated[UUID, Depends(member_id_of)]


@router.get("/members")
async def read_members(
    request: Request,
    principal: Reader,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> MemberPageBody:
    """List who belongs to the tenant, by address; those as well whose time is over."""
    page = await list_members(
        services_of(request).pool, principal.scope, cursor=cursor, limit=limit
    )
    items = [MemberBody.of(member) for member in page.items]
    return MemberPageBody(items=items, next_cursor=page.next_cursor)


@router.get("/members/{member_id}")
async def read_one_member(request: Request, principal: Reader, member_id: MemberId) -> MemberBody:
    """Read a member."""
    return MemberBody.of(await read_member(services_of(request).pool, principal.scope, member_id))


@router.put("/members/{member_id}")
async def set_terms(
    request: Request, principal: Keeper, member_id: MemberId, body: TermsBody
) -> MemberBody:
    """Give a member another role or end, from their next request on.

    409 for the last admin, 403 for a role that may do more than whoever asks.
    """
    changed = await change_member(
        services_of(request).pool,
        principal.scope,
        member_id,
        body.terms,
        authority=authority_of(principal),
    )
    return MemberBody.of(changed)


@router.delete("/members/{member_id}")
async def remove(request: Request, principal: Keeper, member_id: MemberId) -> RemovedBody:
    """Remove a member, whose sessions in the tenant end. API keys that they made go on.

    409 for oneself and for the last admin.
    """
    removed = await remove_member(
        services_of(request).pool,
        principal.scope,
        member_id,
        authority=authority_of(principal),
        by=principal.user_id if isinstance(principal, UserPrincipal) else None,
    )
    return RemovedBody(keys=removed.keys)


@router.post("/account/leave", status_code=204)
async def leave_tenant(request: Request, response: Response, who: Alone) -> None:
    """Leave the tenant of the session, which ends. 409 for the last admin."""
    await leave(services_of(request).pool, who.principal.scope, who.user_id)
    clear_session(response)
