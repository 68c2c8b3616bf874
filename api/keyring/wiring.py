"""The keys of an installation, put together from settings.

Clients of key services are imported by who uses them: each takes half a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from api.database import Pool
from api.errors import OperatorError
from api.keyring.config import KeyConfig
from api.keyring.shelf import PostgresShelf
from udfs.keysource.care import KeyCare
from udfs.keysource.local import LocalKeys
from udfs.keysource.providers import AWS, LOCAL, VAULT_KV, VAULT_TRANSIT
from udfs.keysource.ring import KeyRing
from udfs.keysource.source import KeySource
from udfs.keysource.sources import Sources
from udfs.keysource.trouble import KeyTrouble


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of all tenants: at work, and looked after. source: that makes new ones."""

    ring: KeyRing
    care: KeyCare
    source: KeySource


def open_keys(config: KeyConfig | None, pool: Pool) -> Keys | None:
    """Return the keys of an installation, None if it has no settings for any; nobody is asked yet.

    Raises OperatorError for credentials that cannot be read.
    """
    if config is None:
        return None
    try:
        sources = Sources([_MAKERS[provider](config) for provider in config.providers])
    except KeyTrouble as trouble:
        raise OperatorError(str(trouble)) from trouble
    shelf = PostgresShelf(pool)
    ring = KeyRing(sources, shelf)
    return Keys(ring, KeyCare(sources, shelf, ring), sources.first)


def _local(config: KeyConfig) -> KeySource:
    if config.masters is None:
        raise ValueError("a local source without master keys")
    return LocalKeys(config.masters)


def _aws(config: KeyConfig) -> KeySource:
    from udfs.keysource.aws import AwsKeys, open_kms

    return AwsKeys(open_kms(config.aws_region, config.aws_endpoint), master=config.aws_key)


def _transit(config: KeyConfig) -> KeySource:
    from udfs.keysource.vault_client import VaultClient
    from udfs.keysource.vault_transit import VaultTransitKeys

    return VaultTransitKeys(
        VaultClient(config.vault),
        mount=config.vault_mount or "transit",
        name=config.vault_name,
        signs=config.sign_inside,
    )


def _kv(config: KeyConfig) -> KeySource:
    from udfs.keysource.vault_client import VaultClient
    from udfs.keysource.vault_kv import VaultKvKeys

    return VaultKvKeys(
        VaultClient(config.vault),
        mount=config.vault_mount or "secret",
        folder=f"{config.vault_name}/keys",
    )


_MAKERS: Final[Mapping[str, Callable[[KeyConfig], KeySource]]] = {
    LOCAL: _local,
    AWS: _aws,
    VAULT_TRANSIT: _transit,
    VAULT_KV: _kv,
}
