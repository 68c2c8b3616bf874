"""WorkOS AuthKit by its SDK: organisations, and roles in them, of people who sign in there.

What AuthKit answers to a code is verified as any token is. It names no audience and carries no
nonce: it comes from WorkOS itself over TLS in answer to our secret, PKCE and state bind it to the
browser, and its key is of one client alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from workos import (
    AsyncWorkOSClient,
    AuthenticationError,
    AuthorizationError,
    BadRequestError,
    NotFoundError,
    UnprocessableEntityError,
    WorkOSError,
)
from workos.user_management.models import AuthenticateResponse

from api.identity.claims import Identified, Standing, acting_of, email_of, texts_at
from api.identity.config import WorkosConfig
from api.identity.fetching import fetch_json
from api.identity.flow import Flow
from api.identity.provider import Answer
from api.identity.provider_keys import ProviderKeys
from api.identity.refusals import IdentityRefused, provider_said, refused, token_refused
from api.identity.remembered import ProviderUnavailable
from api.identity.tokens import TokenRefused, TokenRules, TokenVerifier
from api.identity.workos_inviter import WorkosInviter

_ALGORITHMS: Final = ("RS256",)


class WorkosProvider:
    """An `IdentityProvider`: AuthKit. Grants name its organisations, and its roles as groups."""

    label: Final = "WorkOS"

    def __init__(
        self,
        config: WorkosConfig,
        client: httpx.AsyncClient,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._client = client
        self._sdk = AsyncWorkOSClient(
            api_key=config.api_key,
            client_id=config.client_id,
            base_url=config.url,
            max_retries=0,
            http_client=client,
        )
        rules = TokenRules(config.issuer, _ALGORITHMS, config.leeway_s)
        self._tokens = TokenVerifier(rules, ProviderKeys(self._jwks, clock=clock))

    @property
    def issuer(self) -> str:
        """The issuer of its session tokens."""
        return self._config.issuer

    @property
    def inviter(self) -> WorkosInviter:
        """What invites people into organisations."""
        return WorkosInviter(self._sdk, issuer=self.issuer, label=self.label)

    async def authorization_url(self, flow: Flow, *, anew: bool = False) -> str:
        """Return AuthKit's address for a sign-in."""
        return self._sdk.user_management.get_authorization_url(
            provider="authkit",
            redirect_uri=self._config.redirect_uri,
            state=flow.state,
            code_challenge=create_s256_code_challenge(flow.verifier),
            code_challenge_method="S256",
            prompt="login" if anew else None,
        )

    async def identify(self, answer: Answer, flow: Flow) -> Identified:
        """Return whom WorkOS vouches for. Raises ApiError, ProviderUnavailable."""
        if answer.error or not answer.code:
            raise provider_said(answer.error)
        try:
            granted = await self._sdk.user_management.authenticate_with_code(
                code=answer.code, code_verifier=flow.verifier
            )
        except WorkOSError as error:
            raise _refusal(error) from error
        try:
            claims = await self._tokens.session_token(granted.access_token)
        except TokenRefused as error:
            raise token_refused(error.reason) from error
        if claims["sub"] != granted.user.id or not _is_of_a_person(claims):
            raise token_refused("claims")
        return _identified(granted, claims, issuer=self.issuer)

    async def sign_out_url(self, kept: str) -> str:
        """Return AuthKit's address for signing out."""
        return self._sdk.user_management.get_logout_url(
            session_id=json.loads(kept)["sid"], return_to=self._config.signed_out_uri
        )

    async def _jwks(self) -> dict[str, Any]:
        url = self._sdk.user_management.get_jwks_url()
        return await fetch_json(self._client, self._client.build_request("GET", url))


def _identified(
    granted: AuthenticateResponse, claims: Mapping[str, Any], *, issuer: str
) -> Identified:
    user = granted.user
    names = (user.first_name, user.last_name)
    email = email_of({"email": user.email})
    return Identified(
        issuer=issuer,
        subject=user.id,
        email=email,
        email_verified=user.email_verified,
        name=" ".join(name for name in names if name) or email,
        standing=Standing(
            organisations=texts_at(claims, "org_id"),
            groups=texts_at(claims, "role") | texts_at(claims, "roles"),
        ),
        kept=json.dumps({"sid": claims["sid"]}),
        acting=_acting(granted, claims),
    )


def _acting(granted: AuthenticateResponse, claims: Mapping[str, Any]) -> str:
    """Return who impersonates the person. Raises ApiError for an impersonator without a name."""
    impersonator = granted.impersonator
    acting = acting_of(claims) or (impersonator.email if impersonator else "")
    if impersonator and not acting:
        raise token_refused("claims")
    return acting


def _is_of_a_person(claims: Mapping[str, Any]) -> bool:
    """Agents and widgets have tokens by the same key."""
    return (
        isinstance(claims.get("sid"), str)
        and claims.get("sub_type") is None
        and claims.get("sub_profile") in (None, "user")
    )


def _refusal(error: WorkOSError) -> IdentityRefused | ProviderUnavailable:
    match error:
        case BadRequestError():
            return refused("code")
        case AuthenticationError() | NotFoundError() | UnprocessableEntityError():
            return refused("client")
        case AuthorizationError():
            return provider_said(error.code or "")
        case _:
            return ProviderUnavailable(f"WorkOS: {type(error).__name__}")
