"""Objects in a bucket of S3: the request that puts one there, signed by Signature Version 4.

botocore signs; the request itself leaves by `api.outbound`, since the endpoint is the customer's
word.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from api.anchors.model import Bucket, Head, Lock

_TYPE: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class PutObject:
    """A signed request."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def object_name(bucket: Bucket, head: Head) -> str:
    """Return the name of a checkpoint's object; names sort as the checkpoints follow each other."""
    return f"{bucket.prefix}{head.number:012}.note"


def object_url(bucket: Bucket, name: str) -> str:
    """Return the URL of an object.

    At AWS the bucket is part of the host unless it has a dot, which no certificate of theirs
    covers; at other endpoints it is part of the path.
    """
    path = quote(name, safe="/-_.~")
    if bucket.endpoint:
        return f"{bucket.endpoint.rstrip('/')}/{bucket.name}/{path}"
    if "." in bucket.name:
        return f"https://s3.{bucket.region}.amazonaws.com/{bucket.name}/{path}"
    return f"https://{bucket.name}.s3.{bucket.region}.amazonaws.com/{path}"


def put_object(bucket: Bucket, head: Head, *, secret: str, now: datetime) -> PutObject:
    """Return the request that puts a checkpoint's note into the bucket, locked if that is asked."""
    url = object_url(bucket, object_name(bucket, head))
    headers = {
        "content-type": _TYPE,
        "x-amz-sdk-checksum-algorithm": "SHA256",  # asked for wherever there is a lock
        "x-amz-checksum-sha256": b64encode(sha256(head.note).digest()).decode(),
        **_lock_headers(bucket, now),
    }
    request = AWSRequest(method="PUT", url=url, data=head.note, headers=headers)
    S3SigV4Auth(Credentials(bucket.access_key_id, secret), "s3", bucket.region).add_auth(request)
    return PutObject(url, dict(request.headers.items()), head.note)


def _lock_headers(bucket: Bucket, now: datetime) -> Mapping[str, str]:
    if bucket.lock is Lock.NONE:
        return {}
    until = now + timedelta(days=bucket.lock_days)
    return {
        "x-amz-object-lock-mode": bucket.lock.value.upper(),
        "x-amz-object-lock-retain-until-date": f"{until:%Y-%m-%dT%H:%M:%SZ}",
    }
