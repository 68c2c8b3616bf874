"""The settings of keys: which source keeps the master key, and how it is reached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings

from udfs.keysource.masters import Masters, read_master_file, read_masters
from udfs.keysource.providers import AWS, LOCAL, PROVIDERS, VaultAccess
from udfs.keysource.trouble import MasterRefused

_MASTER: Final = "BETRACE_KEYS_MASTER"


class KeySettings(BaseSettings):
    """Settings of the sources of keys. BETRACE_KEYS_PROVIDER chooses one; empty: no keys."""

    keys_provider: str = Field(default="", description=f"One of {', '.join(PROVIDERS)}.")
    keys_before: str = Field(
        default="", description="Providers, comma-separated, whose keys are read until rewrapped."
    )
    keys_master: SecretStr = Field(
        default=SecretStr(""), description="Local: ID:64 hex digits, comma-separated, newest last."
    )
    keys_master_file: str = Field(default="", description="Local: the same, one a line.")
    keys_aws_key: str = Field(default="", description="Id, ARN or alias of a symmetric key of KMS.")
    keys_aws_region: str = Field(default="", description="Empty: as AWS's own settings say.")
    keys_aws_endpoint: str = Field(default="", description="Empty: that of the region.")
    keys_vault_address: str = Field(
        default="",
        validation_alias=AliasChoices(
            "BETRACE_KEYS_VAULT_ADDRESS", "VAULT_ADDR", "keys_vault_address"
        ),
    )
    keys_vault_token: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices(
            "BETRACE_KEYS_VAULT_TOKEN", "VAULT_TOKEN", "keys_vault_token"
        ),
    )
    keys_vault_token_file: str = Field(
        default="", description="In place of the token: where a Vault agent writes it."
    )
    keys_vault_namespace: str = ""
    keys_vault_ca_file: str = Field(default="", description="Empty: those that Python trusts.")
    keys_vault_mount: str = Field(default="", description="Empty: transit, or secret for KV.")
    keys_vault_name: str = Field(
        default="betrace",
        pattern=r"^[A-Za-z0-9_-]{1,60}$",
        description="How names of transit keys begin; folder in KV.",
    )
    keys_sign_inside: bool = Field(
        default=True, description="Transit: whether signing keys stay in Vault."
    )
    keys_rotate_days: int = Field(
        default=90, ge=0, description="Keys older than that are rotated; 0: only by hand."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyConfig:
    """Sources of keys. providers: the first makes keys, the others only open theirs."""

    providers: tuple[str, ...]
    masters: Masters | None
    aws_key: str
    aws_region: str
    aws_endpoint: str
    vault: VaultAccess
    vault_mount: str
    vault_name: str
    sign_inside: bool
    rotate_days: int


def key_config(settings: KeySettings) -> KeyConfig | None:
    """Return the sources that settings describe, None if there are to be no keys.

    Raises ValueError that names the setting and what to do.
    """
    if not settings.keys_provider:
        return None
    before = [part.strip() for part in settings.keys_before.split(",") if part.strip()]
    providers = tuple(dict.fromkeys([settings.keys_provider, *before]))
    for provider in providers:
        _refuse_half(settings, provider)
    token_file = settings.keys_vault_token_file
    return KeyConfig(
        providers=providers,
        masters=_masters(settings) if LOCAL in providers else None,
        aws_key=settings.keys_aws_key,
        aws_region=settings.keys_aws_region,
        aws_endpoint=settings.keys_aws_endpoint,
        vault=VaultAccess(
            address=settings.keys_vault_address,
            token=settings.keys_vault_token.get_secret_value(),
            token_file=Path(token_file) if token_file else None,
            namespace=settings.keys_vault_namespace,
            ca_file=settings.keys_vault_ca_file,
        ),
        vault_mount=settings.keys_vault_mount,
        vault_name=settings.keys_vault_name,
        sign_inside=settings.keys_sign_inside,
        rotate_days=settings.keys_rotate_days,
    )


def _refuse_half(settings: KeySettings, provider: str) -> None:
    """Raise ValueError for a provider that is none, or that lacks a setting."""
    if provider not in PROVIDERS:
        raise ValueError(
            f"BETRACE_KEYS_PROVIDER and _BEFORE: {provider!r} is none of {', '.join(PROVIDERS)}."
        )
    if provider == AWS and not settings.keys_aws_key:
        raise ValueError("BETRACE_KEYS_PROVIDER is aws, and BETRACE_KEYS_AWS_KEY is not set.")
    if not provider.startswith("vault"):
        return
    if not settings.keys_vault_address:
        raise ValueError(
            f"BETRACE_KEYS_PROVIDER is {provider}, and BETRACE_KEYS_VAULT_ADDRESS is not set."
        )
    if not settings.keys_vault_token.get_secret_value() and not settings.keys_vault_token_file:
        raise ValueError(
            f"BETRACE_KEYS_PROVIDER is {provider}: set BETRACE_KEYS_VAULT_TOKEN_FILE, or "
            "BETRACE_KEYS_VAULT_TOKEN."
        )


def _masters(settings: KeySettings) -> Masters:
    """Read the master keys of the local source. Raises ValueError."""
    text, file = settings.keys_master.get_secret_value(), settings.keys_master_file
    if bool(text) == bool(file):
        raise ValueError(
            f"BETRACE_KEYS_PROVIDER is local: set {_MASTER}_FILE or {_MASTER}, one of both."
        )
    try:
        return read_master_file(Path(file)) if file else read_masters(text, where=_MASTER)
    except MasterRefused as refused:
        raise ValueError(str(refused)) from refused
