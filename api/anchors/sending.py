"""Handing one checkpoint to one target, whatever that is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from api.anchors.bucket import put_object
from api.anchors.model import (
    Authority,
    Bucket,
    Head,
    Mailbox,
    NotAnchored,
    Receipt,
    Target,
    Webhook,
)
from api.anchors.sealed_secrets import SecretBox
from api.anchors.timestamps import MOST_BYTES, REQUEST_TYPE, accept, new_request, read_certificates
from api.anchors.webhook import body_of, headers_of
from api.auth.addresses import Networks
from api.mail import Attachment, Mail, Mailer, MailUnavailable
from api.outbound.calls import CallFailed, CallLimits, CallRefused, Outbound, Reply

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_KEPT_BYTES: Final = 2_000
"""Of what a sink said."""
_SAID_LENGTH: Final = 300
_MAIL_TEXT: Final = """\
This is checkpoint {number} of the evidence log of tenant {tenant}: it has {size} records, and was
sealed at {sealed_at:%Y-%m-%d %H:%M:%S} UTC. The attached file is the checkpoint as it was signed.

Keep the file where whoever runs BeTrace cannot change it. To find out whether the log was forked
or set back since then:

    betrace evidence verify PACK.zip --checkpoint {name}

{note}"""


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways out. stamps: to authorities, whose answers are signed, so that http:// will do."""

    calls: Outbound
    stamps: Outbound
    mailer: Mailer | None


def open_ways(*, networks: Networks, plain_http: bool, mailer: Mailer | None) -> Ways:
    """Make the ways out. networks: private ones that may be called. plain_http: also to sinks."""
    limits = CallLimits(max_answer_bytes=MOST_BYTES)
    return Ways(
        calls=Outbound(allowed=networks, plain_http=plain_http, limits=limits),
        stamps=Outbound(allowed=networks, plain_http=True, limits=limits),
        mailer=mailer,
    )


class Sender:
    """Hands checkpoints over. For one event loop."""

    def __init__(self, ways: Ways, secrets: SecretBox) -> None:
        self._ways = ways
        self._secrets = secrets

    async def send(self, target: Target, head: Head, *, message_id: UUID) -> Receipt:
        """Hand a checkpoint over and return what the other side said.

        message_id: the same for each attempt. Raises NotAnchored.
        """
        match target.where:
            case Authority():
                return await self._stamp(target.where, head)
            case Webhook():
                return await self._call_webhook(target, target.where, head, message_id)
            case Bucket():
                return await self._put(target, target.where, head)
            case Mailbox():
                return await self._mail(target, target.where, head)

    async def _stamp(self, authority: Authority, head: Head) -> Receipt:
        asked = new_request(head.note)
        reply = await _called(
            self._ways.stamps,
            "POST",
            authority.url,
            headers={"content-type": REQUEST_TYPE},
            body=asked.as_bytes(),
        )
        stamped_at = await asyncio.to_thread(
            accept,
            reply.body,
            asked=asked,
            data=head.note,
            trusted=read_certificates(authority.certificates),
            now=datetime.now(UTC),
        )
        return Receipt(reply.body, stamped_at)

    async def _call_webhook(
        self, target: Target, webhook: Webhook, head: Head, message_id: UUID
    ) -> Receipt:
        secret = await self._secrets.open(target.tenant_id, target.id, target.secret)
        body = body_of(head, tenant_id=target.tenant_id)
        now = datetime.now(UTC)
        headers = headers_of(body, secret=secret, message_id=message_id, now=now)
        reply = await _called(self._ways.calls, "POST", webhook.url, headers=headers, body=body)
        return _said(reply)

    async def _put(self, target: Target, bucket: Bucket, head: Head) -> Receipt:
        secret = await self._secrets.open(target.tenant_id, target.id, target.secret)
        put = put_object(bucket, head, secret=secret, now=datetime.now(UTC))
        reply = await _called(self._ways.calls, "PUT", put.url, headers=put.headers, body=put.body)
        told = {"etag", "x-amz-version-id", "x-amz-checksum-sha256"} & reply.headers.keys()
        lines = [f"{name}: {reply.headers[name]}" for name in sorted(told)]
        return Receipt("\n".join([put.url, *lines]).encode())

    async def _mail(self, target: Target, mailbox: Mailbox, head: Head) -> Receipt:
        mailer = self._ways.mailer
        if mailer is None:
            raise NotAnchored("No mail server is set up here (BETRACE_SMTP_HOST).")
        name = f"checkpoint-{head.number}.note"
        text = _MAIL_TEXT.format(
            number=head.number,
            tenant=target.tenant_id,
            size=head.size,
            sealed_at=head.sealed_at,
            name=name,
            note=head.note.decode(),
        )
        mail = Mail(
            to=mailbox.address,
            subject=f"Checkpoint {head.number} of your evidence log",
            text=text,
            attachments=(Attachment(name, head.note),),
        )
        try:
            await mailer.send(mail)
        except MailUnavailable as error:
            raise NotAnchored(f"The mail server did not take it: {error}.") from error
        return Receipt(b"taken by the mail server")


async def _called(
    way: Outbound,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] = _NO_HEADERS,
    body: bytes,
) -> Reply:
    """Call and return an answer of success. Raises NotAnchored."""
    try:
        reply = await way.call(method, url, headers=headers, body=body)
    except (CallRefused, CallFailed) as error:
        raise NotAnchored(str(error)) from error
    if not 200 <= reply.status < 300:
        said = " ".join(reply.body[:2_000].decode("utf-8", "replace").split())[:_SAID_LENGTH]
        raise NotAnchored(f"The answer has status {reply.status}{f': {said}' if said else ''}.")
    return reply


def _said(reply: Reply) -> Receipt:
    return Receipt(f"{reply.status} ".encode() + reply.body[:_KEPT_BYTES])
