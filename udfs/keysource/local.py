"""Keys wrapped by master keys in this process's memory, for one machine and for tests.

material: 1 (format) ‖ 12 bytes nonce ‖ AES-256-GCM(master key, key, master's id ‖ 0 ‖ binding)
"""

from __future__ import annotations

from secrets import token_bytes
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from udfs.keysource.keys import KEY_BYTES, Binding, Form, NewKey, NewSigner, Sealed
from udfs.keysource.masters import Masters
from udfs.keysource.providers import LOCAL
from udfs.keysource.signing import new_wrapped_signer, wrapped_signer
from udfs.keysource.source import Sign
from udfs.keysource.trouble import KeyRefused

_FORMAT: Final = b"\x01"
_NONCE_BYTES: Final = 12
_HEAD_BYTES: Final = len(_FORMAT) + _NONCE_BYTES


class LocalKeys:
    """A source whose master keys are given to it."""

    def __init__(self, masters: Masters) -> None:
        self._newest = masters.newest
        self._ciphers = {name: AESGCM(key) for name, key in masters.by_id.items()}

    @property
    def provider(self) -> str:
        """The kind of source."""
        return LOCAL

    def generate(self, binding: Binding) -> NewKey:
        """Make a key."""
        secret = token_bytes(KEY_BYTES)
        return NewKey(secret, self.wrap(secret, binding))

    def wrap(self, secret: bytes, binding: Binding) -> Sealed:
        """Wrap a key with the newest master key."""
        nonce = token_bytes(_NONCE_BYTES)
        bound = _bound(self._newest, binding)
        sealed = self._ciphers[self._newest].encrypt(nonce, secret, bound)
        return Sealed(LOCAL, self._newest, Form.WRAPPED, _FORMAT + nonce + sealed)

    def unwrap(self, sealed: Sealed, binding: Binding) -> bytes:
        """Return the key. Raises KeyRefused."""
        cipher = self._ciphers.get(sealed.master)
        where = f"key {binding.key_id}, master key {sealed.master!r}"
        if cipher is None:
            raise KeyRefused(
                "the master key that wrapped it is not given",
                where=where,
                next_step="Add it before the last one in the list of master keys.",
            )
        head, body = sealed.material[:_HEAD_BYTES], sealed.material[_HEAD_BYTES:]
        if not head.startswith(_FORMAT) or len(head) < _HEAD_BYTES:
            raise KeyRefused(
                "the wrapped key is in no format that this release knows",
                where=where,
                next_step="Use the release that wrote it, or a newer one.",
            )
        try:
            return cipher.decrypt(head[len(_FORMAT) :], body, _bound(sealed.master, binding))
        except InvalidTag as error:
            raise KeyRefused(
                "the key does not unwrap: it belongs to another tenant, purpose or key, was "
                "changed, or the master key of that id is another one",
                where=where,
                next_step="Compare the master keys with those of the process that made it.",
            ) from error

    def rewrap(self, sealed: Sealed, binding: Binding) -> Sealed:
        """Return the key under the newest master key."""
        if sealed.master == self._newest:
            return sealed
        return self.wrap(self.unwrap(sealed, binding), binding)

    def new_signer(self, binding: Binding) -> NewSigner:
        """Make a signing key."""
        return new_wrapped_signer(self, binding)

    def signer(self, sealed: Sealed, binding: Binding) -> Sign:
        """Return what signs with it."""
        return wrapped_signer(self, sealed, binding)

    def destroy(self, sealed: Sealed, binding: Binding) -> None:
        """Nothing of it is held here."""

    def forget(self, tenant: UUID) -> None:
        """Nothing is held for a tenant alone."""

    def check(self) -> None:
        """The master keys were looked at when they were read."""


def _bound(master: str, binding: Binding) -> bytes:
    return master.encode() + b"\0" + binding.authenticated
