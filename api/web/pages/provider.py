"""Signing in by the identity provider, and linking an account with it."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import anyone, session_token
from api.auth.account_routes import Alone
from api.auth.cookies import client_of, set_session
from api.identity.flow import LIFETIME_S
from api.identity.provider import Answer
from api.identity.refusals import refused
from api.identity.sign_in import Begun, ProviderSignIn, Unplaced
from api.problems import ApiError
from api.services import services_of
from api.web.pages.account import ACCOUNT, refused_form
from api.web.render import home_href, render
from api.web.views.links import local_path
from api.web.views.provider import RefusedPage, link_page, refused_page, unplaced_page

router = APIRouter(include_in_schema=False)

HOME: Final = "/home"
PROVIDER: Final = "/sign-in/provider"
FLOW_COOKIE: Final = "betrace_provider"

Secret = Annotated[str, Form(max_length=1_024)]


@router.get(PROVIDER, dependencies=[Depends(anyone)])
async def sign_in(
    request: Request,
    next: str = "",  # noqa: A002 - of the URL
    anew: bool = False,
) -> Response:
    """Send the browser to the provider. anew: which shall ask who it is."""
    try:
        begun = await _provider(request).begin(
            next_path=local_path(next, otherwise=HOME), anew=anew
        )
    except ApiError as error:
        return _refused(request, refused_page(error), error)
    response = RedirectResponse(begun.url, 303, headers={"Cache-Control": "no-store"})
    _set_flow(request, response, begun)
    return response


@router.get(f"{PROVIDER}/callback", dependencies=[Depends(anyone)])
async def callback(
    request: Request,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4_096)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
    iss: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Begin a session for whom the provider has sent back. The flow is used up, whatever comes."""
    try:
        entered = await _provider(request).finish(
            Answer(state=state, code=code, error=error, issuer=iss),
            request.cookies.get(FLOW_COOKIE, ""),
            client=client_of(request),
            token=session_token(request),
        )
    except Unplaced as unplaced:
        return _refused(request, unplaced_page(unplaced), unplaced.refusal)
    except ApiError as refusal:
        return _refused(request, refused_page(refusal), refusal)
    home = home_href(entered.signed_in.principal)
    response = RedirectResponse(home if entered.next == HOME else entered.next, 303)
    set_session(request, response, entered.signed_in)
    response.delete_cookie(FLOW_COOKIE, path=PROVIDER)
    return response


@router.post(f"{ACCOUNT}/provider")
async def link(request: Request, who: Alone, password: Secret = "") -> Response:
    """Lead to the provider, to sign in by it from then on."""
    try:
        provider = _provider(request)
        begun = await provider.begin_link(who, password=password)
    except ApiError as error:
        return await refused_form(request, who, error, form="link")
    response = render(request, "onward.html", page=link_page(provider.label, begun.url))
    _set_flow(request, response, begun)
    return response


@router.post(f"{ACCOUNT}/provider/remove")
async def unlink(request: Request, who: Alone, password: Secret = "") -> Response:
    """Sign in by the password alone from now on."""
    try:
        await _provider(request).unlink(who, password=password)
    except ApiError as error:
        return await refused_form(request, who, error, form="unlink")
    return RedirectResponse(f"{ACCOUNT}?done=unlinked", 303)


def _provider(request: Request) -> ProviderSignIn:
    provider = services_of(request).provider
    if provider is None:
        raise refused("none")
    return provider


def _refused(request: Request, page: RefusedPage, error: ApiError) -> Response:
    response = render(request, "sign_in_refused.html", page=page, status=error.status)
    response.headers.update(error.headers)
    response.delete_cookie(FLOW_COOKIE, path=PROVIDER)
    return response


def _set_flow(request: Request, response: Response, begun: Begun) -> None:
    """Lax, not strict: the provider's answer comes by a link of another site."""
    response.set_cookie(
        FLOW_COOKIE,
        begun.cookie,
        max_age=LIFETIME_S,
        path=PROVIDER,
        httponly=True,
        samesite="lax",
        secure=services_of(request).settings.cookie_secure,
    )
