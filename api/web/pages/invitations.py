"""Accepting an invitation with the link of a mail: with a new account, or as who one is."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Path, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import anyone, session_token
from api.auth.cookies import client_of, set_session
from api.auth.passwords import MIN_LENGTH
from api.auth.principal import GRANTS, Permission, UserPrincipal
from api.invitations.accepting import read_offer
from api.invitations.routes import accept
from api.problems import ApiError
from api.services import services_of
from api.web.render import render
from api.web.views.team import offer_page

router = APIRouter(include_in_schema=False)

WELCOME: Final = "/welcome?first=true"
ACCOUNT: Final = "/settings/account"
Token = Annotated[str, Path(max_length=100)]


@router.get("/invitations/{token}", dependencies=[Depends(anyone)])
async def invitation(request: Request, token: Token) -> Response:
    """Show what the link offers, or that it is over."""
    return await _page(request, token)


@router.post("/invitations/{token}", dependencies=[Depends(anyone)])
async def accept_invitation(
    request: Request,
    token: Token,
    name: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=1_024)] = "",
    again: Annotated[str, Form(max_length=1_024)] = "",
) -> Response:
    """Accept. The token is what proves the form's origin where nobody is signed in.

    A new account leads to signing in: whoever sends somebody else a form with a link of their own
    must not get that person's browser into their account.
    """
    if password != again:
        problem = "The two passwords are not the same."
        return await _page(request, token, name=name, problems=(problem,), status=400)
    try:
        offer = await accept(request, token, name=name, password=password)
    except ApiError as error:
        problems = tuple(error.members.get("weaknesses", (error.detail,)))
        return await _page(request, token, name=name, problems=problems, status=error.status)
    home = WELCOME if Permission.SIGNALS_READ in GRANTS[offer.terms.role] else ACCOUNT
    session = session_token(request)
    if session is None or not isinstance(getattr(request.state, "principal", None), UserPrincipal):
        return RedirectResponse(f"/sign-in?{urlencode({'done': 'joined', 'next': home})}", 303)
    signed_in = await services_of(request).sessions.renew(
        session, client=client_of(request), tenant_id=offer.tenant_id
    )
    response = RedirectResponse(home, 303)
    set_session(request, response, signed_in)
    return response


async def _page(
    request: Request,
    token: str,
    *,
    name: str = "",
    problems: tuple[str, ...] = (),
    status: int = 200,
) -> Response:
    services = services_of(request)
    offer = await read_offer(services.pool, token, maker=services.invitation_maker)
    session = session_token(request)
    who = await services.sessions.find(session) if session else None
    if who is not None:
        request.state.principal = who
    page = offer_page(
        offer,
        token,
        signed_in_as=who.email if who else "",
        passwords=services.settings.local_accounts,
        least=MIN_LENGTH,
        name=name,
        problems=problems,
    )
    return render(request, "invitation.html", page=page, status=status if offer else 410)
