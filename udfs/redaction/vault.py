"""Where tokens can be turned back into what they stand for."""

from __future__ import annotations

from typing import Protocol


class Vault(Protocol):
    """Keeps what tokens stand for. It is told before the token leaves, and may raise: the value is
    then removed instead of tokenised.
    """

    def keep(self, token: str, sealed: str) -> None:
        """Keep a value, encrypted with the tenant's redaction key (`Tokens.encrypted`)."""


class NoVault:
    """Keeps nothing: tokens still tell equal from unequal, and cannot be undone."""

    def keep(self, token: str, sealed: str) -> None:
        """Forget it."""
