"""Sending mail by SMTP: plain text and files, one recipient at a time.

A failure is a value of `MailUnavailable`: whoever asked for a mail has another way to say it.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from enum import StrEnum
from typing import Final, Protocol

TIMEOUT_S: Final = 10.0
"""For each step of the conversation with the server."""
_SUBJECT_LENGTH: Final = 200


class MailUnavailable(Exception):
    """The mail server did not take a mail; the text says what it or the network said."""


class Security(StrEnum):
    """How the way to the mail server is protected. NONE: for one on the same machine."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes along with a mail, byte for byte."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail. text: lines of plain text."""

    to: str
    subject: str
    text: str
    attachments: tuple[Attachment, ...] = ()


class Mailer(Protocol):
    """What sends mails."""

    async def send(self, mail: Mail) -> None:
        """Hand a mail to the server. Raises MailUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpMailer:
    """Sends by an SMTP server. sender: an address, or a name and an address. user: "" for none."""

    host: str
    port: int
    security: Security
    sender: str
    user: str = ""
    password: str = ""
    timeout_s: float = TIMEOUT_S

    async def send(self, mail: Mail) -> None:
        """Hand a mail to the server, beside the event loop. Raises MailUnavailable."""
        message = _message(mail, sender=self.sender)
        try:
            await asyncio.to_thread(self._deliver, message)
        except (OSError, smtplib.SMTPException) as error:
            raise MailUnavailable(_cause(error)) from error

    def _deliver(self, message: EmailMessage) -> None:
        with self._connect() as server:
            if self.security is Security.STARTTLS:
                server.starttls(context=ssl.create_default_context())
            if self.user:
                server.login(self.user, self.password)
            server.send_message(message)

    def _connect(self) -> smtplib.SMTP:
        if self.security is Security.TLS:
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout_s, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=self.timeout_s)


def _message(mail: Mail, *, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = _one_line(mail.subject)
    message["Date"] = formatdate(usegmt=True)
    message["Message-ID"] = make_msgid(domain="betrace")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    for attachment in mail.attachments:
        message.add_attachment(
            attachment.content,
            maintype="application",
            subtype="octet-stream",
            filename=attachment.name,
        )
    return message


def _one_line(text: str) -> str:
    """A subject holds what people wrote; a line break in it would begin another header."""
    return "".join(c if c.isprintable() else " " for c in text)[:_SUBJECT_LENGTH]


def _cause(error: OSError | smtplib.SMTPException) -> str:
    """Return what went wrong, without what was sent: answers of servers repeat addresses."""
    match error:
        case smtplib.SMTPAuthenticationError():
            return "it refuses the user or the password"
        case smtplib.SMTPRecipientsRefused():
            return "it refuses the recipient"
        case smtplib.SMTPResponseException():
            return f"it answers {error.smtp_code}"
        case smtplib.SMTPNotSupportedError():
            return "it offers no STARTTLS or no SMTPUTF8"
        case TimeoutError():
            return "it does not answer in time"
        case ssl.SSLError():
            return f"its certificate or TLS is not accepted ({error.reason})"
        case OSError() if error.strerror:
            return error.strerror.lower()
        case _:
            return type(error).__name__
