"""Programs and people with an access token of the provider, in place of an API key (RFC 9068).

The tenant is one that the token's claims are granted, and of a person one that they are a member of
as well. Nothing is remembered: what was taken back bites at the next request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from api.auth.principal import BearerPrincipal, Role, grant_scope
from api.database import Connection, Pool, queries, set_local, vouched_transaction
from api.identity.claims import Standing, acting_of, standing_of
from api.identity.config import OidcConfig
from api.identity.grants import Kind, granted_roles
from api.identity.refusals import provider_away
from api.identity.remembered import ProviderUnavailable
from api.identity.tokens import TokenRefused, TokenVerifier
from api.limits.settings import TenantLimits
from api.problems import ApiError


class Bearers:
    """Finds who holds an access token."""

    def __init__(self, pool: Pool, tokens: TokenVerifier, config: OidcConfig) -> None:
        self._pool = pool
        self._tokens = tokens
        self._config = config

    async def principal(self, token: str) -> BearerPrincipal:
        """Return who holds a token.

        Raises TokenRefused; ApiError 403 for somebody who has no tenant here or too many, and 503.
        """
        try:
            claims = await self._tokens.access_token(
                token, audience=self._config.audience, token_type=self._config.token_type
            )
        except ProviderUnavailable as error:
            raise provider_away() from error
        standing = standing_of(
            claims, tenant_claim=self._config.tenant_claim, role_claim=self._config.role_claim
        )
        async with vouched_transaction(
            self._pool, issuer=self._config.issuer, subject=claims["sub"]
        ) as connection:
            found = await _holder(connection, claims, standing)
        return replace(found, acting=acting_of(claims))


async def _holder(
    connection: Connection, claims: Mapping[str, Any], standing: Standing
) -> BearerPrincipal:
    """Return the program or person that claims speak of."""
    client = _client_of(claims)
    if client:
        return await _program(connection, client, standing, kind=Kind.CLIENT)
    user_id: UUID | None = await queries("identity").identity(connection)
    if user_id is None:
        return await _program(connection, claims["sub"], standing, kind=Kind.SUBJECT)
    return await _person(connection, user_id, standing)


def _client_of(claims: Mapping[str, Any]) -> str:
    """Return the client id of a program that acts for itself, empty for a person's token.

    Such a token's subject is the client (RFC 9068, 2.2).
    """
    client = claims.get("client_id", claims.get("azp"))
    return client if isinstance(client, str) and client == claims["sub"] else ""


async def _program(
    connection: Connection, name: str, standing: Standing, *, kind: Kind
) -> BearerPrincipal:
    """A program by its client id, or by a subject that is not its client id and nobody's here."""
    granted = await granted_roles(connection, standing, kind=kind, names=[name])
    if kind is Kind.SUBJECT and not granted:
        raise _unknown_subject()
    tenant_id, role = _only(granted)
    actor = f"client:{name}"
    return await _admitted(
        connection, BearerPrincipal(actor, name, role, grant_scope(tenant_id, actor=actor))
    )


async def _person(connection: Connection, user_id: UUID, standing: Standing) -> BearerPrincipal:
    """A membership by claims has the role that the token's claims give, one by hand its own."""
    granted = await granted_roles(connection, standing, kind=Kind.GROUP, names=standing.groups)
    await set_local(connection, user_id=str(user_id))
    user = await queries("identity").user(connection)
    if user is None or user["disabled_at"] is not None:
        raise TokenRefused("subject")
    mine = {
        row["tenant_id"]: granted[row["tenant_id"]] if row["issuer"] else Role(row["role"])
        async for row in queries("identity").memberships(connection)
        if row["tenant_id"] in granted or (row["issuer"] is None and not standing.organisations)
    }
    tenant_id, role = _only(mine)
    scope = grant_scope(tenant_id, actor=user["email"])
    return await _admitted(
        connection, BearerPrincipal(f"user:{user_id}", user["email"], role, scope)
    )


async def _admitted(connection: Connection, who: BearerPrincipal) -> BearerPrincipal:
    """Return the holder with what holds for the tenant. Raises ApiError 403 if it is suspended."""
    await set_local(connection, tenant_id=str(who.scope.tenant_id))
    tenant = await queries("auth").open_tenant(connection)
    if tenant is None:
        raise ApiError(
            403,
            "tenant.suspended",
            "The tenant of this token is suspended. Ask the operator of BeTrace about it.",
        )
    return replace(
        who,
        limits=TenantLimits.from_settings(tenant["tenant_settings"]),
        delete_after=tenant["delete_after"],
    )


def _only(tenants: Mapping[UUID, Role]) -> tuple[UUID, Role]:
    """Return the one tenant of a token: a request is never spread over several."""
    if not tenants:
        raise ApiError(
            403,
            "auth.no_tenant",
            "This token is good, but nothing it says gives it a tenant here. Ask the operator for "
            "a grant (`betrace identity grant`).",
        )
    if len(tenants) > 1:
        raise ApiError(
            403,
            "auth.several_tenants",
            f"This token stands for {len(tenants)} tenants. Ask the provider for one that names a "
            "single organisation.",
        )
    return next(iter(tenants.items()))


def _unknown_subject() -> ApiError:
    return ApiError(
        403,
        "auth.unknown_subject",
        "Nobody has signed in here with the subject of this token. A person signs in once in the "
        "browser; a program needs a grant (`betrace identity grant --subject`).",
    )
