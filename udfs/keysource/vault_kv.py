"""Keys that Vault keeps as secrets (KV, version 2), one for each key.

    FOLDER/TENANT/KEY   {"key": base64, "purpose": …}

Nothing but the path is on record here: whoever has the database and its backups has no key, wrapped
or not, and a key that is destroyed in Vault is gone.
"""

from __future__ import annotations

from secrets import compare_digest, token_bytes
from typing import Any
from uuid import UUID

from hvac.exceptions import InvalidPath, InvalidRequest

from udfs.keysource.keys import KEY_BYTES, Binding, Form, NewKey, NewSigner, Sealed
from udfs.keysource.providers import VAULT_KV
from udfs.keysource.signing import new_wrapped_signer, wrapped_signer
from udfs.keysource.source import Sign
from udfs.keysource.trouble import KeyDestroyed, KeyRefused
from udfs.keysource.vault_client import VaultClient, bytes_of, text_of


class VaultKvKeys:
    """A source in Vault's KV engine, version 2. mount: of the engine; folder: in it."""

    def __init__(
        self, vault: VaultClient, *, mount: str = "secret", folder: str = "betrace/keys"
    ) -> None:
        self._vault = vault
        self._mount = mount
        self._folder = folder

    @property
    def provider(self) -> str:
        """The kind of source."""
        return VAULT_KV

    def generate(self, binding: Binding) -> NewKey:
        """Make a key here and let Vault keep it."""
        secret = token_bytes(KEY_BYTES)
        return NewKey(secret, self.wrap(secret, binding))

    def wrap(self, secret: bytes, binding: Binding) -> Sealed:
        """Let Vault keep a key; one that it keeps already is fine if it is the same."""
        path = self._path(binding)
        sealed = Sealed(VAULT_KV, "", Form.HELD, path.encode())
        kept = {"key": text_of(secret), "purpose": binding.purpose.value}
        try:
            self._ask("create_or_update_secret", path, secret=kept, cas=0)
        except InvalidRequest as error:
            if not compare_digest(self.unwrap(sealed, binding), secret):
                raise self._vault.refusal(
                    error, path, next_step="Another key has this id: make a new one."
                ) from error
        except InvalidPath as error:
            raise self._vault.refusal(
                error, path, next_step="Enable KV version 2 there, or set BETRACE_KEYS_VAULT_MOUNT."
            ) from error
        return sealed

    def unwrap(self, sealed: Sealed, binding: Binding) -> bytes:
        """Return the key."""
        path = self._path(binding)
        if sealed.material != path.encode():
            raise self._foreign(path)
        try:
            answer = self._ask("read_secret_version", path, raise_on_deleted_version=True)
        except InvalidPath as error:
            raise KeyDestroyed(
                "Vault has no such secret any more",
                where=self._vault.where(f"{self._mount}/{path}"),
                next_step="Nothing brings it back but a backup of Vault.",
            ) from error
        kept = answer["data"]["data"]
        if kept["purpose"] != binding.purpose.value:
            raise self._foreign(path)
        return bytes_of(kept["key"])

    def rewrap(self, sealed: Sealed, binding: Binding) -> Sealed:
        """Vault's own master key is its own affair: nothing changes here."""
        return sealed

    def new_signer(self, binding: Binding) -> NewSigner:
        """Make a signing key."""
        return new_wrapped_signer(self, binding)

    def signer(self, sealed: Sealed, binding: Binding) -> Sign:
        """Return what signs with it."""
        return wrapped_signer(self, sealed, binding)

    def destroy(self, sealed: Sealed, binding: Binding) -> None:
        """Destroy all versions of the secret."""
        self._ask("delete_metadata_and_all_versions", self._path(binding))

    def forget(self, tenant: UUID) -> None:
        """Nothing is held for a tenant but its keys."""

    def check(self) -> None:
        """Raise KeysUnavailable or KeyRefused."""
        self._vault.check()

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        def question(client: Any) -> Any:
            call = getattr(client.secrets.kv.v2, method)
            return call(path=path, mount_point=self._mount, **arguments)

        return self._vault.ask(f"{self._mount}/{path}", question)

    def _foreign(self, path: str) -> KeyRefused:
        return KeyRefused(
            "the key belongs to another tenant, purpose or key",
            where=self._vault.where(f"{self._mount}/{path}"),
            next_step="Ask for it as what it was made for.",
        )

    def _path(self, binding: Binding) -> str:
        return f"{self._folder}/{binding.tenant}/{binding.key_id}"
