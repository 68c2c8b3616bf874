"""What people say of a target, checked: URLs, buckets, addresses, certificates. Pure.

Every problem is a ValueError whose words say which field and what it takes instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final

from api.anchors.model import (
    EVERY_LEAST_S,
    EVERY_MOST_S,
    EVERY_S,
    Authority,
    Bucket,
    Lock,
    Mailbox,
    Webhook,
    Where,
)
from api.anchors.timestamps import read_certificates
from api.outbound.calls import CallRefused, refuse_url

LOCK_DAYS_MOST: Final = 36_500
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION: Final = re.compile(r"[a-z0-9-]{1,40}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9!_.*'()/-]{0,500}")
_ACCESS_KEY: Final = re.compile(r"[A-Za-z0-9_./+=@-]{3,128}")
_SECRET_LENGTHS: Final = range(8, 201)
_ADDRESS: Final = re.compile(r"[^@\s<>,;:\"]{1,64}@[^@\s<>,;:\"]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDraft:
    """A target to be made. secret: of the access key of S3; a webhook's is made here."""

    where: Where
    every_s: int = EVERY_S
    secret: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        refuse_every(self.every_s)
        refuse_place(self.where)
        if isinstance(self.where, Bucket):
            refuse_secret(self.secret)
        elif self.secret:
            raise ValueError("secret: only the access key of a bucket has one")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetChange:
    """What is to be other; None: as it is. The place itself does not change: make another target.

    new_secret: of a webhook: one is to be made.
    """

    every_s: int | None = None
    enabled: bool | None = None
    certificates: str | None = None
    access_key_id: str | None = None
    secret: str | None = field(default=None, repr=False)
    lock: Lock | None = None
    lock_days: int | None = None
    new_secret: bool = False

    def __post_init__(self) -> None:
        if self.every_s is not None:
            refuse_every(self.every_s)
        if self.secret is not None:
            refuse_secret(self.secret)
        if (self.secret is None) != (self.access_key_id is None):
            raise ValueError("secret: an access key is changed together with its secret")

    def changed(self, where: Where) -> Where:
        """Return a place with what is to be other of it. Raises ValueError."""
        own = {
            "certificates": self.certificates,
            "access_key_id": self.access_key_id,
            "lock": self.lock,
            "lock_days": self.lock_days,
        }
        given: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
        for name in given:
            if name not in getattr(where, "__dataclass_fields__", {}):
                raise ValueError(f"{name}: this target has none")
        if self.new_secret and not isinstance(where, Webhook):
            raise ValueError("new_secret: only a webhook's secret is made here")
        after: Where = replace(where, **given)
        refuse_place(after)
        return after


def refuse_every(every_s: int) -> None:
    """Raise ValueError for a time between two checkpoints that is out of bounds."""
    if not EVERY_LEAST_S <= every_s <= EVERY_MOST_S:
        raise ValueError(f"every_s: from {EVERY_LEAST_S} to {EVERY_MOST_S} seconds")


def refuse_secret(secret: str) -> None:
    """Raise ValueError for what can be no secret of an access key."""
    if len(secret) not in _SECRET_LENGTHS or not secret.isascii() or not secret.isprintable():
        raise ValueError("secret: the secret of the access key has 8 to 200 ASCII characters")


def refuse_place(where: Where) -> None:
    """Raise ValueError for a place that nothing can be handed to.

    Whether http:// and private networks are called at all is found out when it is called.
    """
    match where:
        case Authority(url, certificates):
            _refuse_url("url", url)
            read_certificates(certificates)
        case Webhook(url):
            _refuse_url("url", url)
        case Bucket():
            _refuse_bucket(where)
        case Mailbox(address):
            if not _ADDRESS.fullmatch(address) or not address.isprintable():
                raise ValueError("address: an address such as evidence@example.com")


def _refuse_url(field_name: str, url: str) -> None:
    try:
        refuse_url(url, plain_http=True)
    except CallRefused as error:
        raise ValueError(f"{field_name}: {str(error).rstrip('.')}") from error


def _refuse_bucket(bucket: Bucket) -> None:
    forms = (
        ("name", _BUCKET, bucket.name, "the name of a bucket, 3 to 63 of a-z 0-9 . -"),
        ("region", _REGION, bucket.region, "a region such as eu-central-1"),
        ("prefix", _PREFIX, bucket.prefix, "letters, digits and / ! _ . * ' ( ) -"),
        ("access_key_id", _ACCESS_KEY, bucket.access_key_id, "the id of an access key"),
    )
    for name, form, value, wanted in forms:
        if not form.fullmatch(value):
            raise ValueError(f"{name}: {wanted}")
    if bucket.endpoint:
        _refuse_url("endpoint", bucket.endpoint)
        if "?" in bucket.endpoint or "#" in bucket.endpoint:
            raise ValueError("endpoint: a URL without ? and #")
    if (bucket.lock is Lock.NONE) != (bucket.lock_days == 0):
        raise ValueError("lock_days: a lock has days, and without a lock there are 0")
    if not 0 <= bucket.lock_days <= LOCK_DAYS_MOST:
        raise ValueError(f"lock_days: at most {LOCK_DAYS_MOST}")
