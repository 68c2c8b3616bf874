"""The operator's console in the browser: signing in with a key, and all tenants.

The form to sign in needs no proof of its origin: whoever makes a browser send it must have a key of
an operator, and the session's cookie goes with requests of our own pages alone (SameSite=Strict).
"""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import (
    OPERATOR_COOKIE,
    SECURE_OPERATOR_COOKIE,
    anyone,
    operator,
)
from api.auth.addresses import AddressRefused
from api.invitations.model import address_of
from api.operators.actions import NAME_LENGTH, onboard_tenant, scope_in
from api.operators.overview import list_overview, read_overview
from api.operators.principal import OperatorPrincipal
from api.operators.routes import makers_of
from api.operators.sign_in import ABSOLUTE
from api.problems import ApiError
from api.retention.service import bound_retention, hold, read_retention, release
from api.retention.terms import Kind
from api.rules.service import publish_waiting
from api.services import services_of
from api.tenants.service import resume, suspend
from api.tiers.model import DEFAULT
from api.tiers.service import list_tiers, put_into_tier, set_own_quotas
from api.web.render import render
from api.web.views.operator import (
    DONE,
    OPERATOR_HREF,
    NewTenantPage,
    OperatorSignIn,
    one_tenant_page,
    quotas_of,
    tenant_href,
    tenants_page,
    term_of,
    tier_choices,
)
from api.web.views.words import Message, bad, good, sentence

router = APIRouter(include_in_schema=False)

Operator = Annotated[OperatorPrincipal, Depends(operator)]
Word = Annotated[str, Form(max_length=30)]
SIGN_IN: Final = f"{OPERATOR_HREF}/sign-in"
_TENANT: Final = f"{OPERATOR_HREF}/tenants/{{tenant_id}}"
_UNKNOWN: Final = "This is no operator's key, or it is over. Keys are made on the host."
_PAGE: Final = 50


@router.get(SIGN_IN, dependencies=[Depends(anyone)])
async def sign_in_form(request: Request) -> Response:
    """Ask for a key."""
    return render(request, "operator/sign_in.html", page=OperatorSignIn())


@router.post(SIGN_IN, dependencies=[Depends(anyone)])
async def sign_in(request: Request, key: Annotated[str, Form(max_length=200)] = "") -> Response:
    """Begin a session with a key."""
    services = services_of(request)
    address = services.authenticator.address_of(request)
    try:
        begun = await services.operators.begin(key.strip(), address=address)
    except AddressRefused as error:
        return _refused(request, error.sentence, status=403)
    if begun is None:
        return _refused(request, _UNKNOWN, status=401)
    response = RedirectResponse(OPERATOR_HREF, 303)
    secure = services.settings.cookie_secure
    response.set_cookie(
        SECURE_OPERATOR_COOKIE if secure else OPERATOR_COOKIE,
        begun.token,
        max_age=int(ABSOLUTE.total_seconds()),
        path=OPERATOR_HREF,
        httponly=True,
        samesite="strict",
        secure=secure,
    )
    return response


@router.post(f"{OPERATOR_HREF}/sign-out")
async def sign_out(request: Request, who: Operator) -> Response:
    """End the session."""
    await services_of(request).operators.end(who)
    response = RedirectResponse(SIGN_IN, 303)
    for name in (OPERATOR_COOKIE, SECURE_OPERATOR_COOKIE):
        response.delete_cookie(name, path=OPERATOR_HREF, httponly=True, samesite="strict")
    return response


@router.get(OPERATOR_HREF)
async def tenants(
    request: Request,
    who: Operator,
    q: Annotated[str, Query(max_length=100)] = "",
    cursor: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """List tenants."""
    found = await list_overview(
        services_of(request).pool, who.scope, sought=q.strip(), cursor=cursor or None, limit=_PAGE
    )
    page = tenants_page(found, operator=who.name, csrf_token=who.csrf_token, sought=q.strip())
    return render(request, "operator/tenants.html", page=page)


@router.get(f"{OPERATOR_HREF}/new")
async def new_tenant_form(request: Request, who: Operator) -> Response:
    """Show the form for a new tenant."""
    return await _new(request, who)


@router.post(f"{OPERATOR_HREF}/new")
async def new_tenant(
    request: Request,
    who: Operator,
    name: Annotated[str, Form(max_length=NAME_LENGTH)] = "",
    admin: Annotated[str, Form(max_length=320)] = "",
    tier: Annotated[str, Form(max_length=50)] = DEFAULT,
    starter: Word = "",
) -> Response:
    """Make a tenant; a refusal is said on the form, and key and link are shown this once."""
    services = services_of(request)
    try:
        done, scope = await onboard_tenant(
            services.pool,
            who.scope,
            _name(name),
            admin=address_of(admin),
            tier=tier,
            starter=bool(starter),
            makers=makers_of(services),
            mailer=services.mailer,
            site=services.settings.site,
        )
    except ValueError as error:
        said = bad(sentence(error))
        return await _new(request, who, name=name, admin=admin, tier=tier, message=said, status=400)
    except ApiError as error:
        if error.status not in (404, 409):
            raise
        said = bad(error.detail)
        return await _new(
            request, who, name=name, admin=admin, tier=tier, message=said, status=error.status
        )
    await publish_waiting(services.publisher, scope)
    page = NewTenantPage(
        operator=who.name,
        csrf_token=who.csrf_token,
        name=name,
        admin=admin,
        tiers=(),
        message=bad(done.problem) if done.problem else None,
        made_href=tenant_href(done.tenant_id),
        key=done.key,
        link=done.link,
    )
    return render(request, "operator/made.html", page=page, status=201)


@router.get(_TENANT)
async def tenant(
    request: Request,
    who: Operator,
    tenant_id: UUID,
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show a tenant. done: what a form has just done, said on top."""
    return await _one(request, who, tenant_id, message=good(DONE[done]) if done in DONE else None)


@router.post(f"{_TENANT}/suspend")
async def suspend_tenant(request: Request, who: Operator, tenant_id: UUID) -> Response:
    """Let nobody of the tenant in."""
    pool = services_of(request).pool
    await suspend(pool, await scope_in(pool, who.scope, tenant_id))
    return _back(tenant_id, "suspended")


@router.post(f"{_TENANT}/resume")
async def resume_tenant(request: Request, who: Operator, tenant_id: UUID) -> Response:
    """Let the tenant go on."""
    pool = services_of(request).pool
    await resume(pool, await scope_in(pool, who.scope, tenant_id))
    return _back(tenant_id, "resumed")


@router.post(f"{_TENANT}/hold")
async def put_on_hold(request: Request, who: Operator, tenant_id: UUID) -> Response:
    """Let nothing of the tenant be deleted."""
    pool = services_of(request).pool
    await hold(pool, await scope_in(pool, who.scope, tenant_id), by="operator")
    return _back(tenant_id, "held")


@router.post(f"{_TENANT}/release")
async def lift_hold(request: Request, who: Operator, tenant_id: UUID) -> Response:
    """Let what is over be deleted again."""
    pool = services_of(request).pool
    await release(pool, await scope_in(pool, who.scope, tenant_id), by="operator")
    return _back(tenant_id, "released")


@router.post(f"{_TENANT}/tier")
async def choose_tier(
    request: Request,
    who: Operator,
    tenant_id: UUID,
    tier: Annotated[str, Form(max_length=50)] = "",
) -> Response:
    """Put the tenant into a tier."""
    pool = services_of(request).pool
    await put_into_tier(pool, await scope_in(pool, who.scope, tenant_id), tier)
    return _back(tenant_id, "tier")


def _quotas(
    monthly_spans: Word = "",
    max_rules: Word = "",
    max_members: Word = "",
    requests_per_min: Word = "",
    person_requests_per_min: Word = "",
    key_requests_per_min: Word = "",
    spans_per_s: Word = "",
    span_bytes_per_s: Word = "",
) -> dict[str, str]:
    return {
        "monthly_spans": monthly_spans,
        "max_rules": max_rules,
        "max_members": max_members,
        "requests_per_min": requests_per_min,
        "person_requests_per_min": person_requests_per_min,
        "key_requests_per_min": key_requests_per_min,
        "spans_per_s": spans_per_s,
        "span_bytes_per_s": span_bytes_per_s,
    }


@router.post(f"{_TENANT}/quotas")
async def choose_quotas(
    request: Request,
    who: Operator,
    tenant_id: UUID,
    text: Annotated[dict[str, str], Depends(_quotas)],
) -> Response:
    """Set quotas for the tenant alone; an empty field is as the tier."""
    pool = services_of(request).pool
    scope = await scope_in(pool, who.scope, tenant_id)
    try:
        changes, as_tier = quotas_of(text)
        await set_own_quotas(pool, scope, changes, as_tier=as_tier)
    except ValueError as error:
        return await _one(request, who, tenant_id, message=bad(sentence(error)), status=400)
    except ApiError as error:
        if error.status != 400:
            raise
        return await _one(request, who, tenant_id, message=bad(error.detail), status=400)
    return _back(tenant_id, "quotas")


@router.post(f"{_TENANT}/bounds")
async def choose_bounds(
    request: Request,
    who: Operator,
    tenant_id: UUID,
    kind: Annotated[Kind, Form()] = Kind.SIGNALS,
    days: Word = "",
    least: Word = "",
    most: Word = "",
) -> Response:
    """Set for how long the tenant may keep things of a kind; an empty form is as the tier."""
    pool = services_of(request).pool
    scope = await scope_in(pool, who.scope, tenant_id)
    try:
        term = term_of(kind, days=days, least=least, most=most)
    except ValueError as error:
        return await _one(request, who, tenant_id, message=bad(sentence(error)), status=400)
    await bound_retention(pool, scope, {kind: term})
    return _back(tenant_id, "bounds")


def _refused(request: Request, text: str, *, status: int) -> Response:
    page = OperatorSignIn(message=bad(text))
    return render(request, "operator/sign_in.html", page=page, status=status)


async def _new(
    request: Request,
    who: OperatorPrincipal,
    *,
    name: str = "",
    admin: str = "",
    tier: str = DEFAULT,
    message: Message | None = None,
    status: int = 200,
) -> Response:
    page = NewTenantPage(
        operator=who.name,
        csrf_token=who.csrf_token,
        name=name,
        admin=admin,
        tiers=tier_choices(await list_tiers(services_of(request).pool), tier),
        message=message,
    )
    return render(request, "operator/new.html", page=page, status=status)


async def _one(
    request: Request,
    who: OperatorPrincipal,
    tenant_id: UUID,
    *,
    message: Message | None = None,
    status: int = 200,
) -> Response:
    pool = services_of(request).pool
    found = await read_overview(pool, who.scope, tenant_id)
    page = one_tenant_page(
        found,
        await read_retention(pool, await scope_in(pool, who.scope, tenant_id)),
        await list_tiers(pool),
        operator=who.name,
        csrf_token=who.csrf_token,
        message=message,
    )
    return render(request, "operator/tenant.html", page=page, status=status)


def _name(text: str) -> str:
    name = text.strip()
    if not 1 <= len(name) <= NAME_LENGTH or not name.isprintable():
        raise ValueError(f"a tenant's name has 1 to {NAME_LENGTH} printable characters")
    return name


def _back(tenant_id: UUID, done: str) -> Response:
    return RedirectResponse(f"{tenant_href(tenant_id)}?done={done}", 303)
