"""What targets of checkpoints may be, how webhooks are signed, and where objects go."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from api.anchors.bucket import object_url, put_object
from api.anchors.drafts import TargetChange, TargetDraft
from api.anchors.model import (
    Authority,
    Bucket,
    Head,
    Kind,
    Lock,
    Mailbox,
    Webhook,
    Where,
    kind_of,
    options_of,
    place_of,
    where_of,
)
from api.anchors.webhook import body_of, headers_of, new_secret, signature
from tests.support.authority import Authority as Issuer

NOW = datetime(2026, 11, 27, 8, tzinfo=UTC)
HEAD = Head(number=7, size=9, time_ms=1_795_000_000_000, note="a\n\n— b c\n".encode())
BUCKET = Bucket(
    name="evidence", region="eu-central-1", endpoint="", prefix="betrace/", access_key_id="AKIA1"
)


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A root certificate."""
    return Issuer.made_in(tmp_path_factory.mktemp("authority")).certificate.read_text()


def bucket(**changed: Any) -> Bucket:
    return Bucket(**{**options_of(BUCKET), "lock": Lock.NONE, **changed})


def test_what_is_stored_of_a_place_is_the_place_again(pem: str) -> None:
    for where in (
        Authority("https://a.example/tsr", pem),
        Webhook("https://a.example/hook"),
        bucket(lock=Lock.GOVERNANCE, lock_days=30, endpoint="https://minio.example"),
        Mailbox("evidence@example.com"),
    ):
        assert where_of(kind_of(where), place_of(where), options_of(where)) == where


@pytest.mark.parametrize(
    ("where", "field"),
    [
        (Webhook("https://u:p@a.example"), "url"),
        (Webhook("gopher://a.example"), "url"),
        (Mailbox("no address"), "address"),
        (Mailbox("a@b.example\r\nBcc: c@d.example"), "address"),
        (bucket(name="UPPER"), "name"),
        (bucket(name="../other"), "name"),
        (bucket(region="eu central"), "region"),
        (bucket(prefix="a?b"), "prefix"),
        (bucket(access_key_id=""), "access_key_id"),
        (bucket(endpoint="https://a.example?x=1"), "endpoint"),
        (bucket(lock=Lock.COMPLIANCE), "lock_days"),
        (bucket(lock_days=3), "lock_days"),
        (bucket(lock=Lock.COMPLIANCE, lock_days=40_000), "lock_days"),
    ],
)
def test_what_can_be_no_place_is_told_by_its_field(where: Where, field: str) -> None:
    secret = "a long secret" if kind_of(where) is Kind.S3 else ""
    with pytest.raises(ValueError, match=f"^{field}: "):
        TargetDraft(where=where, secret=secret)


def test_a_secret_belongs_to_a_bucket_and_to_nothing_else() -> None:
    with pytest.raises(ValueError, match=r"^secret: "):
        TargetDraft(where=BUCKET)
    with pytest.raises(ValueError, match=r"^secret: "):
        TargetDraft(where=Mailbox("a@b.example"), secret="a long secret")
    with pytest.raises(ValueError, match=r"^secret: "):
        TargetChange(access_key_id="AKIA2")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (TargetChange(lock=Lock.NONE), Mailbox("a@b.example")),
        (TargetChange(certificates="x"), Webhook("https://a.example")),
        (TargetChange(new_secret=True), BUCKET),
    ],
)
def test_what_a_target_does_not_have_is_not_changed(change: TargetChange, where: Where) -> None:
    with pytest.raises(ValueError, match=r"target has none|only a webhook"):
        change.changed(where)


def test_a_webhook_is_signed_as_the_specification_shows() -> None:
    # The example of the Standard Webhooks specification's reference libraries.
    signed = signature(
        b'{"test": 2432232314}',
        secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        at="1614265330",
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secrets_of_webhooks_differ_and_the_body_is_under_the_signature() -> None:
    secret, body = new_secret(), body_of(HEAD, tenant_id=UUID(int=1))
    assert secret != new_secret()
    sent = headers_of(body, secret=secret, message_id=UUID(int=2), now=NOW)
    other = headers_of(body + b" ", secret=secret, message_id=UUID(int=2), now=NOW)
    assert sent["webhook-id"] == str(UUID(int=2))
    assert sent["webhook-signature"] != other["webhook-signature"]


@pytest.mark.parametrize(
    ("place", "url"),
    [
        (BUCKET, "https://evidence.s3.eu-central-1.amazonaws.com/a/7.note"),
        (bucket(name="my.evidence"), "https://s3.eu-central-1.amazonaws.com/my.evidence/a/7.note"),
        (bucket(endpoint="https://minio.example:9000/"), "https://minio.example:9000/evidence/a/7.note"),
    ],
)  # fmt: skip
def test_an_object_has_the_url_of_its_kind_of_bucket(place: Bucket, url: str) -> None:
    assert object_url(place, "a/7.note") == url


def test_what_is_signed_of_an_object_covers_its_content_and_its_lock() -> None:
    locked = bucket(lock=Lock.COMPLIANCE, lock_days=30)
    put = put_object(locked, HEAD, secret="a long secret", now=NOW)
    assert put.url.endswith("/betrace/000000000007.note")
    assert put.headers["x-amz-object-lock-retain-until-date"] == "2026-12-27T08:00:00Z"
    signed = put.headers["Authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    assert {"x-amz-checksum-sha256", "x-amz-object-lock-mode", "x-amz-content-sha256"} <= set(
        signed.split(";")
    )
    assert "a long secret" not in str(put.headers)
