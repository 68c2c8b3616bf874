"""Secrets of targets, sealed by the tenant's data key and bound to the target.

12 bytes nonce ‖ AES-256-GCM(data key, secret, what it is bound to)

They go with the data key: a tenant that is deleted leaves none that could be read.
"""

from __future__ import annotations

import secrets
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from api.anchors.model import NotAnchored, SealedSecret
from api.keyring.wiring import Keys
from udfs.keysource.keys import Purpose
from udfs.keysource.trouble import KeyTrouble

_NONCE_BYTES: Final = 12


class NoKeys(Exception):
    """Secrets cannot be kept: this installation has no keys of tenants."""


class KeysAway(Exception):
    """Secrets cannot be kept now: what has the keys of tenants does not answer."""


class SecretBox:
    """Seals and opens secrets of targets."""

    def __init__(self, keys: Keys | None) -> None:
        """keys: None where no source of keys is set up; then there are no secrets."""
        self._keys = keys

    async def seal(self, tenant_id: UUID, target_id: UUID, secret: str) -> SealedSecret:
        """Seal a secret by the data key that is in use. Raises NoKeys, KeysAway."""
        if self._keys is None:
            raise NoKeys("BETRACE_KEYS_PROVIDER is not set")
        try:
            key = await self._keys.ring.current(tenant_id, Purpose.DATA)
        except KeyTrouble as trouble:
            raise KeysAway(str(trouble)) from trouble
        nonce = secrets.token_bytes(_NONCE_BYTES)
        text = AESGCM(key.secret).encrypt(nonce, secret.encode(), _binding(target_id))
        return SealedSecret(key.record.id, nonce + text)

    async def open(self, tenant_id: UUID, target_id: UUID, secret: SealedSecret | None) -> str:
        """Return a secret in the clear. Raises NotAnchored."""
        if secret is None or self._keys is None:
            raise NotAnchored("Its secret cannot be read: no source of keys is set up here.")
        try:
            key = await self._keys.ring.open(tenant_id, secret.key_id, Purpose.DATA)
            nonce, text = secret.sealed[:_NONCE_BYTES], secret.sealed[_NONCE_BYTES:]
            return AESGCM(key.secret).decrypt(nonce, text, _binding(target_id)).decode()
        except KeyTrouble as trouble:
            raise NotAnchored(f"Its secret cannot be read: {trouble}") from trouble
        except (InvalidTag, ValueError) as error:
            raise NotAnchored("Its secret cannot be read: it was sealed for another.") from error


def _binding(target_id: UUID) -> bytes:
    return b"betrace anchor target " + target_id.bytes
