"""Who sends: the API key of a request, and the tenant it stands for.

The tenant is that of the key. What a payload says about tenants is never looked at.
"""

from __future__ import annotations

from typing import Protocol

from api.auth.addresses import Address, AddressRefused
from api.ingest.refusals import Refusal, Refused

KEY_HEADER = "x-api-key"
_SCHEME = "bearer "
_RETRY_AFTER_S = 2.0


class KeysUnavailable(Exception):
    """A key is not known here, and the store that would know does not answer."""


class Keys(Protocol):
    """Finds the tenant that a key may send spans for."""

    async def ingest_tenant(self, key: str, *, address: Address | None) -> str | None:
        """Return the tenant's id (UUID text); None where the key is wrong, revoked or expired.

        Raises KeysUnavailable; PermissionError where the key is good for other things only, and
        AddressRefused where it is good from elsewhere.
        """


async def tenant_of(
    keys: Keys, *, api_key: str, authorization: str, address: Address | None
) -> str:
    """Return the tenant of a request from its two headers, empty where absent.

    address: where it came from. Raises Refused: UNAUTHENTICATED, FORBIDDEN or UNAVAILABLE.
    """
    key = api_key.strip()
    if not key and authorization[: len(_SCHEME)].lower() == _SCHEME:
        key = authorization[len(_SCHEME) :].strip()
    if not key:
        raise Refused(
            Refusal.UNAUTHENTICATED,
            "an API key is needed, in X-API-Key or as Authorization: Bearer",
        )
    try:
        tenant = await keys.ingest_tenant(key, address=address)
    except KeysUnavailable:
        raise Refused(
            Refusal.UNAVAILABLE, "API keys cannot be checked now", retry_after_s=_RETRY_AFTER_S
        ) from None
    except AddressRefused as error:
        raise Refused(Refusal.FORBIDDEN, error.sentence) from None
    except PermissionError:
        raise Refused(Refusal.FORBIDDEN, "this API key may not send spans") from None
    if tenant is None:
        raise Refused(Refusal.UNAUTHENTICATED, "the API key is not valid")
    return tenant
