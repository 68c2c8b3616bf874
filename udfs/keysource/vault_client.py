"""A client of Vault whose troubles are ours, and whose token may change in a file.

A Vault agent beside the process signs in by whatever the site uses (AppRole, Kubernetes, …) and
writes its token into a file; a refusal makes us read that file once more.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final, TypeVar

import hvac
from hvac.exceptions import (
    BadGateway,
    Forbidden,
    InternalServerError,
    RateLimitExceeded,
    Unauthorized,
    VaultDown,
    VaultError,
    VaultNotInitialized,
)
from requests.exceptions import RequestException

from udfs.keysource.providers import VaultAccess
from udfs.keysource.trouble import KeyRefused, KeysUnavailable

_T = TypeVar("_T")
_TIMEOUT_S: Final = 5
_AWAY: Final = (BadGateway, InternalServerError, RateLimitExceeded, VaultDown, VaultNotInitialized)


class VaultClient:
    """Asks Vault by hvac."""

    def __init__(self, access: VaultAccess) -> None:
        self._access = access
        self._client = hvac.Client(
            url=access.address,
            token=self._token(),
            timeout=_TIMEOUT_S,
            namespace=access.namespace or None,
            verify=access.ca_file or True,
        )

    def where(self, what: str) -> str:
        """Return the place of something, for messages."""
        return f"Vault at {self._access.address}, {what}"

    def ask(self, what: str, question: Callable[[Any], _T]) -> _T:
        """Put a question to hvac's client.

        what: it is about, for messages. Raises KeysUnavailable, KeyRefused, and VaultError for what
        Vault says of the question itself.
        """
        try:
            try:
                return question(self._client)
            except (Forbidden, Unauthorized):
                if self._access.token_file is None:
                    raise
                self._client.token = self._token()
                return question(self._client)
        except (Forbidden, Unauthorized) as error:
            raise KeyRefused(
                "Vault refuses our token",
                where=self.where(what),
                next_step="Renew the token, or give it the policy of deploy/keys.md.",
            ) from error
        except _AWAY as error:
            raise KeysUnavailable(
                f"Vault cannot answer: {_said(error)}",
                where=self.where(what),
                next_step="Try again; `vault status` tells whether it is sealed.",
            ) from error
        except RequestException as error:
            raise KeysUnavailable(
                f"Vault does not answer: {type(error).__name__}",
                where=self.where(what),
                next_step="Try again.",
            ) from error

    def refusal(self, error: VaultError, what: str, *, next_step: str) -> KeyRefused:
        """Return what Vault says of a question as ours."""
        return KeyRefused(
            f"Vault refuses: {_said(error)}", where=self.where(what), next_step=next_step
        )

    def check(self) -> None:
        """Raise KeysUnavailable or KeyRefused if a question could not be put."""
        self.ask("its token", lambda client: client.auth.token.lookup_self())

    def _token(self) -> str:
        if self._access.token_file is None:
            return self._access.token
        try:
            return self._access.token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise KeyRefused(
                f"the file of Vault's token cannot be read: {error}",
                where=str(self._access.token_file),
                next_step="Look whether the Vault agent runs and may write it.",
            ) from error


def text_of(data: bytes) -> str:
    """Return bytes as Vault takes them."""
    return base64.b64encode(data).decode()


def bytes_of(text: str) -> bytes:
    """Return bytes that Vault gave."""
    return base64.b64decode(text, validate=True)


def _said(error: VaultError) -> str:
    return "; ".join(error.errors or [str(error)])
