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
from api.database import Pool, one_statement, queries
from api.identity.claims import Standing, acting_of, standing_of
from api.identity.config import OidcConfig
from api.identity.grants import Kind, first_roles
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
        found = await self._holder(claims, standing)
        return replace(await self._admitted(found), acting=acting_of(claims))

    async def _holder(self, claims: Mapping[str, Any], standing: Standing) -> BearerPrincipal:
        async with one_statement(self._pool) as connection:
            holder = await queries("identity").holder(
                connection,
                issuer=self._config.issuer,
                subject=claims["sub"],
                client=_client_of(claims),
                organisations=sorted(standing.organisations),
                groups=sorted(standing.groups),
            )
        granted = first_roles(zip(holder["granted_tenants"], holder["granted_roles"], strict=True))
        if holder["user_id"] is None:
            return self._program(claims["sub"], Kind(holder["kind"]), granted)
        return self._person(holder, granted, standing)

    def _program(self, name: str, kind: Kind, granted: Mapping[UUID, Role]) -> BearerPrincipal:
        """A program by its client id, or by a subject that is not its client id and nobody's."""
        if kind is Kind.SUBJECT and not granted:
            raise _unknown_subject()
        tenant_id, role = _only(granted)
        actor = f"client:{name}"
        return BearerPrincipal(actor, name, role, grant_scope(tenant_id, actor=actor))

    def _person(
        self, holder: Mapping[str, Any], granted: Mapping[UUID, Role], standing: Standing
    ) -> BearerPrincipal:
        """A membership by claims has the role that the token's claims give, one by hand its own."""
        if not holder["active"]:
            raise TokenRefused("subject")
        mine = {
            tenant_id: granted[tenant_id] if issuer else Role(role)
            for tenant_id, role, issuer in zip(
                holder["member_tenants"],
                holder["member_roles"],
                holder["member_issuers"],
                strict=True,
            )
            if tenant_id in granted or (issuer is None and not standing.organisations)
        }
        tenant_id, role = _only(mine)
        scope = grant_scope(tenant_id, actor=holder["email"])
        return BearerPrincipal(f"user:{holder['user_id']}", holder["email"], role, scope)

    async def _admitted(self, who: BearerPrincipal) -> BearerPrincipal:
        """Return the holder with what holds for the tenant. Raises ApiError 403 if suspended."""
        async with one_statement(self._pool) as connection:
            tenant = await queries("auth").tenant_at_hand(connection, tenant_id=who.scope.tenant_id)
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


def _client_of(claims: Mapping[str, Any]) -> str:
    """Return the client id of a program that acts for itself, empty for a person's token.

    Such a token's subject is the client (RFC 9068, 2.2).
    """
    client = claims.get("client_id", claims.get("azp"))
    return client if isinstance(client, str) and client == claims["sub"] else ""


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
