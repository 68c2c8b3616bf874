"""Setting a forgotten password with the link that an operator hands out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import anyone
from api.auth.passwords import MIN_LENGTH
from api.problems import ApiError
from api.services import services_of
from api.web.render import render
from api.web.views.notice import ResetPage

router = APIRouter(include_in_schema=False)


@router.get("/reset-password", dependencies=[Depends(anyone)])
async def reset_form(
    request: Request, token: Annotated[str, Query(max_length=100)] = ""
) -> Response:
    """Show the form, or say that the link is over."""
    return await _form(request, token=token)


@router.post("/reset-password", dependencies=[Depends(anyone)])
async def reset_password(
    request: Request,
    token: Annotated[str, Form(max_length=100)] = "",
    new: Annotated[str, Form(max_length=1_024)] = "",
    again: Annotated[str, Form(max_length=1_024)] = "",
) -> Response:
    """Set the password and lead to signing in. The token is what proves the form's origin."""
    if new != again:
        return await _form(
            request, token=token, problems=("The two passwords are not the same.",), status=400
        )
    try:
        await services_of(request).accounts.reset_password(token, new=new)
    except ApiError as error:
        problems = tuple(error.members.get("weaknesses", ()))
        return await _form(request, token=token, problems=problems, status=error.status)
    return RedirectResponse("/sign-in?done=reset", 303)


async def _form(
    request: Request, *, token: str, problems: tuple[str, ...] = (), status: int = 200
) -> Response:
    is_open = await services_of(request).accounts.reset_is_open(token)
    page = ResetPage(
        problems=problems if is_open else (), token=token if is_open else "", least=MIN_LENGTH
    )
    return render(request, "reset_password.html", page=page, status=status if is_open else 410)
