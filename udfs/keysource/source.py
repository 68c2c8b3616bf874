"""What a source of keys can do. Every one passes tests/integration/keysource.

All methods may wait for a network; all but `check` may be called by several threads at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from udfs.keysource.keys import Binding, NewKey, NewSigner, Sealed

Sign = Callable[[bytes], bytes]
"""Message → signature of 64 bytes (Ed25519, RFC 8032, without a context). Raises KeyTrouble."""


class KeySource(Protocol):
    """Makes keys, wraps and unwraps them; keeps the master keys.

    Every method raises KeysUnavailable (try again), KeyRefused and, of a key whose private part or
    master key is gone, KeyDestroyed.
    """

    @property
    def provider(self) -> str:
        """The kind of source, as `Sealed.provider` has it."""

    def generate(self, binding: Binding) -> NewKey:
        """Make a key of random bytes."""

    def wrap(self, secret: bytes, binding: Binding) -> Sealed:
        """Wrap a key that comes from elsewhere, of KEY_BYTES."""

    def unwrap(self, sealed: Sealed, binding: Binding) -> bytes:
        """Return the key. Raises KeyRefused for another binding than it was wrapped with."""

    def rewrap(self, sealed: Sealed, binding: Binding) -> Sealed:
        """Return the key under the newest master key; the key itself stays."""

    def new_signer(self, binding: Binding) -> NewSigner:
        """Make an Ed25519 key, within the source if it can keep one."""

    def signer(self, sealed: Sealed, binding: Binding) -> Sign:
        """Return what signs with a key that `new_signer` made."""

    def destroy(self, sealed: Sealed, binding: Binding) -> None:
        """Destroy what the source itself holds of a key, if anything. Again does no harm."""

    def forget(self, tenant: UUID) -> None:
        """Destroy what the source itself holds for a tenant alone, if anything. Again does no harm.

        Where the tenant has a master key of its own, copies of its wrapped keys are worthless then.
        """

    def check(self) -> None:
        """Raise what would be wrong with the next call."""
