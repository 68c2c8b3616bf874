"""An OpenID provider: authorization code flow with PKCE (OpenID Connect Core 1.0, 3.1).

Authlib writes the requests, pyjwt verifies what comes back (`api.identity.tokens`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from api.identity.claims import (
    Identified,
    acting_of,
    email_of,
    name_of,
    standing_of,
    texts_at,
)
from api.identity.config import OidcConfig
from api.identity.discovery import ProviderMetadata, discovery_url, read_metadata
from api.identity.fetching import ask, fetch_json
from api.identity.flow import Flow
from api.identity.provider import Answer
from api.identity.provider_keys import ProviderKeys
from api.identity.refusals import provider_said, refused, token_refused
from api.identity.remembered import ProviderUnavailable, Remembered, Times
from api.identity.tokens import TokenRefused, TokenRules, TokenVerifier

METADATA_TIMES: Final = Times(fresh=60 * 60, kept=24 * 60 * 60)
_FORM: Final = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Accept": "application/json",
}


class OidcProvider:
    """An `IdentityProvider` that describes itself by discovery."""

    def __init__(
        self,
        config: OidcConfig,
        client: httpx.AsyncClient,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._client = client
        self._metadata = Remembered(self._discover, times=METADATA_TIMES, clock=clock)
        rules = TokenRules(config.issuer, config.algorithms, config.leeway_s)
        self.tokens = TokenVerifier(rules, ProviderKeys(self._jwks, clock=clock))

    @property
    def issuer(self) -> str:
        """The provider's name for itself."""
        return self._config.issuer

    @property
    def label(self) -> str:
        """What the sign-in page calls it."""
        return self._config.label

    @property
    def inviter(self) -> None:
        """OpenID Connect knows no invitations."""
        return None

    async def authorization_url(self, flow: Flow, *, anew: bool = False) -> str:
        """Return the provider's address for a sign-in. Raises ProviderUnavailable."""
        metadata = await self._metadata.get()
        url: str = prepare_grant_uri(
            metadata.authorization_endpoint,
            client_id=self._config.client_id,
            response_type="code",
            redirect_uri=self._config.redirect_uri,
            scope=self._config.scopes,
            state=flow.state,
            nonce=flow.nonce,
            code_challenge=create_s256_code_challenge(flow.verifier),
            code_challenge_method="S256",
            **({"prompt": "login"} if anew else {}),
        )
        return url

    async def identify(self, answer: Answer, flow: Flow) -> Identified:
        """Return whom the provider vouches for. Raises ApiError, ProviderUnavailable."""
        metadata = await self._metadata.get()
        if answer.issuer != self.issuer and (answer.issuer or metadata.answers_name_issuer):
            raise refused("answer")
        if answer.error or not answer.code:
            raise provider_said(answer.error)
        granted = await self._exchange(answer.code, flow, metadata)
        token = _text(granted, "id_token")
        try:
            claims = await self.tokens.id_token(
                token, client_id=self._config.client_id, nonce=flow.nonce
            )
        except TokenRefused as error:
            raise token_refused(error.reason) from error
        if self._config.amr and not self._config.amr & texts_at(claims, "amr"):
            raise refused("second_factor")
        acting = acting_of(claims)  # of the ID token, which is signed
        claims = await self._with_user_info(claims, _text(granted, "access_token"), metadata)
        return Identified(
            issuer=self.issuer,
            subject=claims["sub"],
            email=email_of(claims),
            email_verified=claims.get("email_verified") is True,
            name=name_of(claims),
            standing=standing_of(
                claims,
                tenant_claim=self._config.tenant_claim,
                role_claim=self._config.role_claim,
            ),
            kept=json.dumps({"id_token": token}),
            acting=acting,
        )

    async def sign_out_url(self, kept: str) -> str:
        """Return the provider's address for signing out (RP-Initiated Logout 1.0)."""
        endpoint = (await self._metadata.get()).end_session_endpoint
        if not endpoint:
            return ""
        parameters = {
            "id_token_hint": json.loads(kept)["id_token"],
            "client_id": self._config.client_id,
            "post_logout_redirect_uri": self._config.signed_out_uri,
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"

    async def _discover(self) -> ProviderMetadata:
        request = self._client.build_request("GET", discovery_url(self.issuer))
        return read_metadata(await fetch_json(self._client, request), issuer=self.issuer)

    async def _jwks(self) -> dict[str, Any]:
        metadata = await self._metadata.get()
        return await fetch_json(self._client, self._client.build_request("GET", metadata.jwks_uri))

    async def _exchange(
        self, code: str, flow: Flow, metadata: ProviderMetadata
    ) -> Mapping[str, Any]:
        """Return what the token endpoint gives for a code. Raises ApiError if it gives nothing."""
        body = prepare_token_request(
            "authorization_code",
            code=code,
            redirect_uri=self._config.redirect_uri,
            code_verifier=flow.verifier,
        )
        url, headers, body = self._client_auth(metadata).prepare(
            "POST", metadata.token_endpoint, dict(_FORM), body
        )
        request = self._client.build_request("POST", url, headers=headers, content=body)
        status, granted = await ask(self._client, request)
        if status == 200:
            return granted
        if granted.get("error") == "invalid_grant":
            raise refused("code")
        raise refused("client")

    def _client_auth(self, metadata: ProviderMetadata) -> ClientAuth:
        method = "client_secret_post" if metadata.posts_secret else "client_secret_basic"
        return ClientAuth(
            self._config.client_id,
            self._config.client_secret,
            auth_method=method if self._config.client_secret else "none",
        )

    async def _with_user_info(
        self, claims: dict[str, Any], access_token: str, metadata: ProviderMetadata
    ) -> dict[str, Any]:
        """Add what the ID token does not say, where the provider says more when asked.

        What it says of somebody else is no answer (Core 1.0, 5.3.2); the ID token's word counts.
        """
        if not metadata.userinfo_endpoint or self._says_enough(claims):
            return claims
        request = self._client.build_request(
            "GET",
            metadata.userinfo_endpoint,
            headers={"Authorization": f"Bearer {access_token}"},
        )
        more = await fetch_json(self._client, request)
        if more.get("sub") != claims["sub"]:
            raise ProviderUnavailable("the provider's userinfo is of somebody else")
        return {**more, **claims}

    def _says_enough(self, claims: Mapping[str, Any]) -> bool:
        wanted = [name for name in (self._config.tenant_claim, self._config.role_claim) if name]
        return bool(email_of(claims)) and all(texts_at(claims, name) for name in wanted)


def _text(granted: Mapping[str, Any], name: str) -> str:
    value = granted.get(name)
    if not isinstance(value, str):
        raise ProviderUnavailable(f"the provider's token answer has no {name}")
    return value
