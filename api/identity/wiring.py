"""What of identity providers one process has, made out of the settings."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from api.auth.accounts import Accounts
from api.auth.sessions import Sessions
from api.database import Pool
from api.identity.bearers import Bearers
from api.identity.config import OidcConfig, WorkosConfig
from api.identity.fetching import open_client
from api.identity.oidc import OidcProvider
from api.identity.people import People
from api.identity.provider import IdentityProvider, Inviter
from api.identity.sign_in import ProviderSignIn
from api.identity.workos import WorkosProvider


@dataclass(frozen=True, slots=True)
class Identity:
    """sign_in: None where people sign in with passwords alone. bearers: None where no access
    tokens are taken. inviter: None where the provider invites nobody."""

    sign_in: ProviderSignIn | None = None
    bearers: Bearers | None = None
    inviter: Inviter | None = None
    client: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Close the connections to the provider."""
        if self.client is not None:
            await self.client.aclose()


def make_identity(
    config: OidcConfig | WorkosConfig | None,
    pool: Pool,
    *,
    pepper: bytes,
    sessions: Sessions,
    accounts: Accounts,
) -> Identity:
    """Return what the settings ask for; nothing is asked of the provider before it is needed."""
    if config is None:
        return Identity()
    client = open_client(timeout_s=config.timeout_s)
    provider: IdentityProvider
    bearers = None
    match config:
        case WorkosConfig():
            provider = WorkosProvider(config, client)
        case OidcConfig():
            provider = oidc = OidcProvider(config, client)
            bearers = Bearers(pool, oidc.tokens, config) if config.audience else None
    sign_in = ProviderSignIn(
        pool,
        provider,
        pepper=pepper,
        sessions=sessions,
        accounts=accounts,
        people=People(pool, link_verified_mail=config.link_verified_mail),
    )
    return Identity(sign_in, bearers, provider.inviter, client)
