"""Who sends: the API key of a request, and the tenant it stands for.

The tenant is that of the key. What a payload says about tenants is never looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from api.auth.addresses import Address, AddressRefused
from api.auth.principal import ApiKeyPrincipal
from api.ingest.refusals import Refusal, Refused
from api.limits.settings import AS_INSTALLED, TenantLimits

KEY_HEADER = "x-api-key"
_SCHEME = "bearer "
_RETRY_AFTER_S = 2.0


class KeysUnavailable(Exception):
    """A key is not known here, and the store that would know does not answer."""


class MayNotSend(Exception):
    """The key is good, for other things only."""

    def __init__(self, principal: ApiKeyPrincipal | None = None) -> None:
        super().__init__()
        self.principal = principal

    @property
    def sentence(self) -> str:
        """Why, for the sender."""
        if self.principal is not None and self.principal.delete_after is not None:
            return "the tenant of this API key is to be deleted, and takes no spans any more"
        return "this API key may not send spans"


@dataclass(frozen=True, slots=True)
class Sender:
    """A tenant (UUID text), and the key it sends with; None: spans come from a log of its own."""

    tenant: str
    principal: ApiKeyPrincipal | None = None

    @property
    def limits(self) -> TenantLimits:
        """What the tenant has in place of the installation's limits."""
        return self.principal.limits if self.principal else AS_INSTALLED


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from, and what it presents. route: the path or method it asked for."""

    address: Address | None
    route: str
    user_agent: str = ""
    api_key: str = ""
    authorization: str = ""

    @property
    def key(self) -> str:
        """The key that is presented, empty if none is."""
        key = self.api_key.strip()
        if not key and self.authorization[: len(_SCHEME)].lower() == _SCHEME:
            key = self.authorization[len(_SCHEME) :].strip()
        return key


class Keys(Protocol):
    """Finds who may send spans with a key."""

    def knows(self, key: str) -> bool:
        """Return whether a key was good a moment ago, without asking anybody."""

    async def sender(self, key: str, *, address: Address | None) -> Sender | None:
        """Return who sends; None where the key is wrong, revoked or expired.

        Raises KeysUnavailable; MayNotSend where the key is good for other things only, and
        AddressRefused where it is good from elsewhere.
        """


async def sender_of(keys: Keys, caller: Caller) -> Sender:
    """Return who sends a request. Raises Refused: UNAUTHENTICATED, FORBIDDEN or UNAVAILABLE."""
    if not caller.key:
        raise Refused(
            Refusal.UNAUTHENTICATED,
            "an API key is needed, in X-API-Key or as Authorization: Bearer",
        )
    try:
        sender = await keys.sender(caller.key, address=caller.address)
    except KeysUnavailable:
        raise Refused(
            Refusal.UNAVAILABLE, "API keys cannot be checked now", retry_after_s=_RETRY_AFTER_S
        ) from None
    except AddressRefused as error:
        raise Refused(Refusal.FORBIDDEN, error.sentence) from None
    except MayNotSend as error:
        raise Refused(Refusal.FORBIDDEN, error.sentence) from error
    if sender is None:
        raise Refused(Refusal.UNAUTHENTICATED, "the API key is not valid")
    return sender
