"""What a provider says of itself: OpenID Connect Discovery 1.0, and the parts that we use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authlib.oidc.discovery import get_well_known_url

from api.identity.config import is_secure
from api.identity.remembered import ProviderUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMetadata:
    """Where the provider is asked for what. Empty addresses: it does not offer that.

    answers_name_issuer: its authorization answers carry `iss` (RFC 9207). posts_secret: it takes
    the client's secret in the body only.
    """

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    end_session_endpoint: str
    answers_name_issuer: bool
    posts_secret: bool


def discovery_url(issuer: str) -> str:
    """Return where the provider describes itself."""
    url: str = get_well_known_url(issuer, external=True)
    return url


def read_metadata(document: Mapping[str, Any], *, issuer: str) -> ProviderMetadata:
    """Read a provider's description. Raises ProviderUnavailable that says what is wrong with it.

    A document that names another issuer is refused (Discovery 1.0, 4.3), and so are addresses that
    are neither https nor of this machine.
    """
    if document.get("issuer") != issuer:
        raise ProviderUnavailable(
            f"the provider calls itself {document.get('issuer')!r}, BETRACE_OIDC_ISSUER says "
            f"{issuer!r}: they must be the same to the letter"
        )
    methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return ProviderMetadata(
        authorization_endpoint=_address(document, "authorization_endpoint"),
        token_endpoint=_address(document, "token_endpoint"),
        jwks_uri=_address(document, "jwks_uri"),
        userinfo_endpoint=_address(document, "userinfo_endpoint", optional=True),
        end_session_endpoint=_address(document, "end_session_endpoint", optional=True),
        answers_name_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        posts_secret="client_secret_basic" not in methods and "client_secret_post" in methods,
    )


def _address(document: Mapping[str, Any], name: str, *, optional: bool = False) -> str:
    url = document.get(name)
    if url is None and optional:
        return ""
    if not isinstance(url, str) or not is_secure(url):
        raise ProviderUnavailable(f"the provider's {name} is {url!r}, which is no https address")
    return url
