"""Keys wrapped by the transit engine of Vault, and signing keys that never leave it.

    NAME-TENANT        aes256-gcm96, derived: the tenant's master key; the binding is its context
    NAME-TENANT-KEY    ed25519, one for each signing key

A tenant's master key is destroyed with the tenant: copies of its wrapped keys, as in backups of the
database, are worthless from then on.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from hvac.exceptions import InvalidPath, InvalidRequest, VaultError

from udfs.keysource.keys import Binding, Form, NewKey, NewSigner, Sealed
from udfs.keysource.providers import VAULT_TRANSIT
from udfs.keysource.signing import new_wrapped_signer, wrapped_signer
from udfs.keysource.source import Sign
from udfs.keysource.trouble import KeyDestroyed, KeyRefused, KeyTrouble
from udfs.keysource.vault_client import VaultClient, bytes_of, text_of

_GONE: Final = ("key not found", "no existing key named", "not found")
_STEP: Final = "It belongs to another tenant, purpose or key, or was changed."


class VaultTransitKeys:
    """A source in Vault's transit engine.

    mount: of the engine. name: how its keys begin. signs: whether signing keys stay in Vault; else
    they are wrapped like others and sign here.
    """

    def __init__(
        self, vault: VaultClient, *, mount: str = "transit", name: str = "betrace", signs: bool
    ) -> None:
        self._vault = vault
        self._mount = mount
        self._name = name
        self._signs = signs

    @property
    def provider(self) -> str:
        """The kind of source."""
        return VAULT_TRANSIT

    def generate(self, binding: Binding) -> NewKey:
        """Make a key in Vault."""
        master = self._have_master(binding.tenant)
        made = self._ask(
            "generate_data_key",
            name=master,
            key_type="plaintext",
            context=text_of(binding.authenticated),
            bits=256,
        )
        return NewKey(bytes_of(made["plaintext"]), _wrapped(master, made["ciphertext"]))

    def wrap(self, secret: bytes, binding: Binding) -> Sealed:
        """Wrap a key with the tenant's master key."""
        master = self._have_master(binding.tenant)
        wrapped = self._ask(
            "encrypt_data",
            name=master,
            plaintext=text_of(secret),
            context=text_of(binding.authenticated),
        )
        return _wrapped(master, wrapped["ciphertext"])

    def unwrap(self, sealed: Sealed, binding: Binding) -> bytes:
        """Return the key. Raises KeyRefused for a signing key that is in Vault."""
        answer = self._ask(
            "decrypt_data",
            name=self._master_of(sealed, binding),
            ciphertext=sealed.material.decode(errors="replace"),
            context=text_of(binding.authenticated),
        )
        return bytes_of(answer["plaintext"])

    def rewrap(self, sealed: Sealed, binding: Binding) -> Sealed:
        """Return the key under the newest version of the master key, without it leaving Vault.

        A signing key that is in Vault stays where it is.
        """
        if sealed.form is Form.INSIDE:
            return sealed
        master = self._master_of(sealed, binding)
        answer = self._ask(
            "rewrap_data",
            name=master,
            ciphertext=sealed.material.decode(errors="replace"),
            context=text_of(binding.authenticated),
        )
        rewrapped = _wrapped(master, answer["ciphertext"])
        return sealed if rewrapped.master == sealed.master else rewrapped

    def new_signer(self, binding: Binding) -> NewSigner:
        """Make a signing key that stays in Vault, unless told otherwise."""
        if not self._signs:
            return new_wrapped_signer(self, binding)
        name = self._inside(binding)
        self._ask("create_key", name=name, key_type="ed25519")
        versions = self._ask("read_key", name=name)["keys"]
        return NewSigner(
            bytes_of(versions["1"]["public_key"]),
            Sealed(VAULT_TRANSIT, "", Form.INSIDE, name.encode()),
        )

    def signer(self, sealed: Sealed, binding: Binding) -> Sign:
        """Return what signs with it: each signature is a question to Vault if the key is there."""
        if sealed.form is Form.WRAPPED:
            return wrapped_signer(self, sealed, binding)
        name = self._inside(binding)

        def sign(message: bytes) -> bytes:
            answer = self._ask("sign_data", name=name, hash_input=text_of(message))
            return bytes_of(answer["signature"].rpartition(":")[2])

        return sign

    def destroy(self, sealed: Sealed, binding: Binding) -> None:
        """Destroy a signing key that is in Vault."""
        if sealed.form is Form.INSIDE:
            self._destroy(self._inside(binding))

    def forget(self, tenant: UUID) -> None:
        """Destroy the tenant's master key."""
        self._destroy(self._master(tenant))

    def check(self) -> None:
        """Raise KeysUnavailable or KeyRefused."""
        self._vault.check()

    def _have_master(self, tenant: UUID) -> str:
        """Make the tenant's master key unless it is there, and return its name."""
        master = self._master(tenant)
        self._ask("create_key", name=master, key_type="aes256-gcm96", derived=True)
        return master

    def _destroy(self, name: str) -> None:
        try:
            self._ask("update_key_configuration", name=name, deletion_allowed=True)
            self._ask("delete_key", name=name)
        except KeyDestroyed:
            return

    def _ask(self, method: str, *, name: str, **arguments: Any) -> dict[str, Any]:
        """Call a method of hvac's transit engine on a key, and return the data of the answer."""

        def question(client: Any) -> Any:
            call = getattr(client.secrets.transit, method)
            return call(name=name, mount_point=self._mount, **arguments)

        try:
            answer = self._vault.ask(f"{self._mount}/{name}", question)
        except (InvalidPath, InvalidRequest) as error:
            raise self._trouble(error, name) from error
        # Of older servers, an answer without data is a bare response.
        return dict(answer["data"] or {}) if isinstance(answer, dict) else {}

    def _trouble(self, error: VaultError, name: str) -> KeyTrouble:
        place = f"{self._mount}/{name}"
        said = " ".join(error.errors or [])
        if "no handler for route" in said:
            step = "Enable the transit engine there, or set BETRACE_KEYS_VAULT_MOUNT."
            return self._vault.refusal(error, place, next_step=step)
        if isinstance(error, InvalidPath) or any(mark in said for mark in _GONE):
            return KeyDestroyed(
                "Vault has no such key any more",
                where=self._vault.where(place),
                next_step="Nothing brings it back but a backup of Vault.",
            )
        return self._vault.refusal(error, place, next_step=_STEP)

    def _master(self, tenant: UUID) -> str:
        return f"{self._name}-{tenant}"

    def _master_of(self, sealed: Sealed, binding: Binding) -> str:
        """Return the master key that wrapped a key, which is its tenant's. Raises KeyRefused."""
        name = self._master(binding.tenant)
        if sealed.form is not Form.WRAPPED or sealed.master.rpartition(":")[0] != name:
            raise KeyRefused(
                "the key is another tenant's, or stays in Vault",
                where=self._vault.where(f"{self._mount}/{name}"),
                next_step="Ask for it as what it was made for.",
            )
        return name

    def _inside(self, binding: Binding) -> str:
        return f"{self._name}-{binding.tenant}-{binding.key_id}"


def _wrapped(master: str, ciphertext: str) -> Sealed:
    """Return a wrapped key. ciphertext: vault:v<version of the master key>:<base64>."""
    version = ciphertext.split(":")[1]
    return Sealed(VAULT_TRANSIT, f"{master}:{version}", Form.WRAPPED, ciphertext.encode())
