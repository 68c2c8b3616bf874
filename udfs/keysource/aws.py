"""Keys wrapped by a symmetric key of AWS KMS, bound by its encryption context.

The master key never leaves KMS; keys of tenants are unwrapped there and used here. KMS could sign
by itself (ECC_NIST_EDWARDS25519), which would be one key a month's price for each tenant and
generation, and messages of at most 4,096 bytes: decision 0039.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from uuid import UUID

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as NoConnection

from udfs.keysource.keys import Binding, Form, NewKey, NewSigner, Sealed
from udfs.keysource.providers import AWS
from udfs.keysource.signing import new_wrapped_signer, wrapped_signer
from udfs.keysource.source import Sign
from udfs.keysource.trouble import KeyRefused, KeysUnavailable, KeyTrouble

if TYPE_CHECKING:
    from types_boto3_kms.client import KMSClient

_CONNECT_S: Final = 2
_READ_S: Final = 5
_TRIES: Final = 3
_AWAY: Final = frozenset(
    {
        "DependencyTimeoutException",
        "InternalFailure",
        "KeyUnavailableException",
        "KMSInternalException",
        "LimitExceededException",
        "RequestTimeout",
        "ServiceUnavailable",
        "ThrottlingException",
    }
)
"""Codes of KMS after which the same call may work."""
_STEPS: Final = {
    "AccessDeniedException": "Allow the five actions of deploy/keys.md on this key.",
    "DisabledException": "Enable the key in KMS.",
    "InvalidCiphertextException": "It belongs to another tenant, purpose or key, or was changed.",
    "KMSInvalidStateException": "Cancel its deletion in KMS, or restore its key material.",
    "NotFoundException": "Set BETRACE_KEYS_AWS_KEY to a key of this account and region.",
}


def open_kms(region: str = "", endpoint: str = "") -> KMSClient:
    """Return a client of KMS. "": as AWS's own variables and files say."""
    return boto3.client(
        "kms",
        region_name=region or None,
        endpoint_url=endpoint or None,
        config=Config(
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retries={"total_max_attempts": _TRIES, "mode": "standard"},
        ),
    )


class AwsKeys:
    """A source with its master key in KMS. master: its id, ARN or alias."""

    def __init__(self, client: KMSClient, *, master: str) -> None:
        self._kms = client
        self._master = master

    @property
    def provider(self) -> str:
        """The kind of source."""
        return AWS

    def generate(self, binding: Binding) -> NewKey:
        """Make a key in KMS."""
        with _asking(self._master):
            made = self._kms.generate_data_key(
                KeyId=self._master, KeySpec="AES_256", EncryptionContext=binding.context
            )
        return NewKey(made["Plaintext"], _sealed(made["KeyId"], made["CiphertextBlob"]))

    def wrap(self, secret: bytes, binding: Binding) -> Sealed:
        """Wrap a key with the master key."""
        with _asking(self._master):
            wrapped = self._kms.encrypt(
                KeyId=self._master, Plaintext=secret, EncryptionContext=binding.context
            )
        return _sealed(wrapped["KeyId"], wrapped["CiphertextBlob"])

    def unwrap(self, sealed: Sealed, binding: Binding) -> bytes:
        """Return the key, by the master key on record and no other."""
        with _asking(sealed.master):
            answer = self._kms.decrypt(
                KeyId=sealed.master,
                CiphertextBlob=sealed.material,
                EncryptionContext=binding.context,
            )
        return answer["Plaintext"]

    def rewrap(self, sealed: Sealed, binding: Binding) -> Sealed:
        """Return the key under the master key of the settings, without it leaving KMS."""
        with _asking(f"{sealed.master} and {self._master}"):
            answer = self._kms.re_encrypt(
                CiphertextBlob=sealed.material,
                SourceKeyId=sealed.master,
                SourceEncryptionContext=binding.context,
                DestinationKeyId=self._master,
                DestinationEncryptionContext=binding.context,
            )
        return _sealed(answer["KeyId"], answer["CiphertextBlob"])

    def new_signer(self, binding: Binding) -> NewSigner:
        """Make a signing key."""
        return new_wrapped_signer(self, binding)

    def signer(self, sealed: Sealed, binding: Binding) -> Sign:
        """Return what signs with it."""
        return wrapped_signer(self, sealed, binding)

    def destroy(self, sealed: Sealed, binding: Binding) -> None:
        """Nothing of it is held in KMS."""

    def forget(self, tenant: UUID) -> None:
        """Nothing is held for a tenant alone."""

    def check(self) -> None:
        """Raise KeysUnavailable or KeyRefused."""
        with _asking(self._master):
            told = self._kms.describe_key(KeyId=self._master)["KeyMetadata"]
        if told.get("KeyState") != "Enabled" or told.get("KeySpec") != "SYMMETRIC_DEFAULT":
            raise KeyRefused(
                f"the master key is {told.get('KeyState')} and of kind {told.get('KeySpec')}",
                where=f"AWS KMS, {self._master}",
                next_step="Name an enabled symmetric key in BETRACE_KEYS_AWS_KEY.",
            )


def _sealed(master: str, material: bytes) -> Sealed:
    return Sealed(AWS, master, Form.WRAPPED, material)


@contextmanager
def _asking(master: str) -> Iterator[None]:
    """Turn what boto3 raises into KeyTrouble."""
    where = f"AWS KMS, {master}"
    try:
        yield
    except ClientError as error:
        raise _refusal(error, where) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise KeyRefused(
            f"there are no credentials of AWS: {error}",
            where=where,
            next_step="Give the process a role, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        ) from error
    except (NoConnection, HTTPClientError) as error:
        raise KeysUnavailable(
            f"KMS does not answer: {error}", where=where, next_step="Try again."
        ) from error
    except BotoCoreError as error:
        raise KeyRefused(
            f"KMS cannot be asked: {error}",
            where=where,
            next_step="Look at BETRACE_KEYS_AWS_REGION and AWS's own settings.",
        ) from error


def _refusal(error: ClientError, where: str) -> KeyTrouble:
    code = error.response["Error"]["Code"]
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    if code in _AWAY or status >= 500:
        return KeysUnavailable(f"KMS says {code}", where=where, next_step="Try again.")
    step = _STEPS.get(code, "The text of KMS stands in the cause of this error.")
    return KeyRefused(f"KMS says {code}", where=where, next_step=step)
