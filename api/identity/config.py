"""The settings of an identity provider: how they are written, and what is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Asymmetric ones. With HMAC a provider's public key would sign, and `none` signs nothing."""
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class IdentitySettings(BaseSettings):
    """Settings of one identity provider: any that speaks OpenID Connect, or WorkOS AuthKit."""

    oidc_issuer: str = Field(default="", max_length=500, description="As the provider names itself")
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr = Field(
        default=SecretStr(""), description="Empty: a public client, with PKCE alone."
    )
    oidc_label: str = Field(
        default="", max_length=60, description="What the sign-in page calls it. Empty: its host."
    )
    oidc_scopes: str = "openid email profile"
    oidc_tenant_claim: str = Field(
        default="", description="Names what grants may ask for as organisation, e.g. org_id."
    )
    oidc_role_claim: str = Field(default="groups", description="Names the groups that grants name.")
    oidc_amr: str = Field(
        default="", description="Comma-separated; one of them must be in the claim amr, e.g. mfa."
    )
    oidc_link_verified_mail: bool = Field(
        default=False,
        description="Whether a verified address links a local account without a second factor.",
    )
    oidc_audience: str = Field(
        default="", description="Of access tokens for the API. Empty: none are taken."
    )
    oidc_algorithms: str = "RS256,PS256,ES256,EdDSA"
    oidc_token_type: str = Field(default="at+jwt", description="The typ of access tokens.")
    oidc_leeway_s: int = Field(default=30, ge=0, le=60, description="How far clocks may be apart.")
    oidc_timeout_s: float = Field(default=5.0, gt=0, le=60)
    workos_api_key: SecretStr = SecretStr("")
    workos_client_id: str = ""
    workos_issuer: str = Field(
        default="", description="The iss of its session tokens. Empty: that of the client id."
    )
    workos_url: str = "https://api.workos.com"
    local_accounts: bool = Field(
        default=True, description="Whether people sign in with a password kept here."
    )

    @property
    def issuer(self) -> str:
        """The provider as grants name it, empty if none is set."""
        if self.oidc_issuer or not self.workos_client_id:
            return self.oidc_issuer
        own = f"{self.workos_url.rstrip('/')}/user_management/{self.workos_client_id}"
        return self.workos_issuer or own


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcConfig:
    """A provider, ready to be used. site: our own address without a slash at the end."""

    issuer: str
    client_id: str
    client_secret: str
    label: str
    scopes: str
    site: str
    tenant_claim: str
    role_claim: str
    amr: frozenset[str]
    link_verified_mail: bool
    audience: str
    algorithms: tuple[str, ...]
    token_type: str
    leeway_s: int
    timeout_s: float

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends people back to: ours, and never what a request says."""
        return f"{self.site}/sign-in/provider/callback"

    @property
    def signed_out_uri(self) -> str:
        """Where the provider sends people after they signed out there."""
        return f"{self.site}/sign-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkosConfig:
    """WorkOS AuthKit. site: our own address without a slash at the end."""

    api_key: str
    client_id: str
    issuer: str
    url: str
    site: str
    leeway_s: int
    timeout_s: float
    link_verified_mail: bool

    @property
    def redirect_uri(self) -> str:
        """Where AuthKit sends people back to."""
        return f"{self.site}/sign-in/provider/callback"

    @property
    def signed_out_uri(self) -> str:
        """Where AuthKit sends people after they signed out there."""
        return f"{self.site}/sign-in"


def identity_config(settings: IdentitySettings, *, site: str) -> OidcConfig | WorkosConfig | None:
    """Return the provider that settings describe, None if they describe none.

    site: BETRACE_PUBLIC_URL. Raises ValueError that names the setting and what to do.
    """
    if settings.oidc_issuer and settings.workos_client_id:
        raise ValueError(
            "BETRACE_OIDC_ISSUER and BETRACE_WORKOS_CLIENT_ID are both set: choose one provider."
        )
    if settings.oidc_issuer or settings.workos_client_id:
        _refuse_unreachable(site)
    if settings.workos_client_id:
        return _workos(settings, site=site)
    if settings.oidc_issuer:
        return _oidc(settings, site=site)
    if not settings.local_accounts:
        raise ValueError(
            "BETRACE_LOCAL_ACCOUNTS is off and no identity provider is set: nobody could sign in. "
            "Set BETRACE_OIDC_ISSUER or BETRACE_WORKOS_CLIENT_ID."
        )
    if settings.oidc_client_id:
        raise ValueError("BETRACE_OIDC_CLIENT_ID is set, and BETRACE_OIDC_ISSUER is not.")
    return None


def _oidc(settings: IdentitySettings, *, site: str) -> OidcConfig:
    _refuse_insecure("BETRACE_OIDC_ISSUER", settings.oidc_issuer)
    if not settings.oidc_client_id:
        raise ValueError("BETRACE_OIDC_ISSUER is set, and BETRACE_OIDC_CLIENT_ID is not.")
    if settings.oidc_audience == settings.oidc_client_id:
        raise ValueError(
            "BETRACE_OIDC_AUDIENCE is the client id: ID tokens would be taken for access tokens. "
            "Register the API with the provider under a name of its own."
        )
    return OidcConfig(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret.get_secret_value(),
        label=settings.oidc_label or urlsplit(settings.oidc_issuer).hostname or "provider",
        scopes=_scopes(settings.oidc_scopes),
        site=site.rstrip("/"),
        tenant_claim=settings.oidc_tenant_claim,
        role_claim=settings.oidc_role_claim,
        amr=frozenset(_parts(settings.oidc_amr)),
        link_verified_mail=settings.oidc_link_verified_mail,
        audience=settings.oidc_audience,
        algorithms=_algorithms(settings.oidc_algorithms),
        token_type=settings.oidc_token_type.lower().removeprefix("application/"),
        leeway_s=settings.oidc_leeway_s,
        timeout_s=settings.oidc_timeout_s,
    )


def _workos(settings: IdentitySettings, *, site: str) -> WorkosConfig:
    _refuse_insecure("BETRACE_WORKOS_URL", settings.workos_url)
    api_key = settings.workos_api_key.get_secret_value()
    if not api_key:
        raise ValueError("BETRACE_WORKOS_CLIENT_ID is set, and BETRACE_WORKOS_API_KEY is not.")
    url, client_id = settings.workos_url.rstrip("/"), settings.workos_client_id
    return WorkosConfig(
        api_key=api_key,
        client_id=client_id,
        issuer=settings.issuer,
        url=url,
        site=site.rstrip("/"),
        leeway_s=settings.oidc_leeway_s,
        timeout_s=settings.oidc_timeout_s,
        link_verified_mail=settings.oidc_link_verified_mail,
    )


def is_secure(url: str) -> bool:
    """Return whether an address is https, or http on this machine."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    )


def _refuse_unreachable(site: str) -> None:
    if not site:
        raise ValueError(
            "BETRACE_PUBLIC_URL is not set: the provider must know where to send people back to."
        )
    _refuse_insecure("BETRACE_PUBLIC_URL", site)


def _refuse_insecure(name: str, url: str) -> None:
    if not is_secure(url) or urlsplit(url).query or urlsplit(url).fragment:
        raise ValueError(f"{name} is {url!r}: write an https address without ? and #.")


def _scopes(text: str) -> str:
    scopes = text.split()
    return " ".join(dict.fromkeys(["openid", *scopes]))


def _algorithms(text: str) -> tuple[str, ...]:
    chosen = _parts(text)
    unknown = [name for name in chosen if name not in ALGORITHMS]
    if unknown or not chosen:
        raise ValueError(
            f"BETRACE_OIDC_ALGORITHMS is {text!r}: choose of {', '.join(sorted(ALGORITHMS))}."
        )
    return tuple(chosen)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
