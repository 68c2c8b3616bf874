"""Mails: what their headers hold, and what is said of servers that do not take them."""

from __future__ import annotations

import smtplib
from email import message_from_string

import pytest

from api.durations import duration_ms, duration_text
from api.mail import Mail, MailUnavailable, Security, SmtpMailer, _cause, _message
from api.settings import SettingError, Settings


def test_a_subject_cannot_begin_another_header() -> None:
    mail = Mail("ada@example.com", "Join A\r\nBcc: all@example.com", "Hello")
    message = message_from_string(_message(mail, sender="b@example.com").as_string())
    assert message["Bcc"] is None
    assert message["Subject"] == "Join A  Bcc: all@example.com"


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    mailer = SmtpMailer(host="127.0.0.1", port=1, security=Security.NONE, sender="b@example.com")
    with pytest.raises(MailUnavailable, match="connection refused"):
        await mailer.send(Mail("ada@example.com", "Hello", "Hello"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (smtplib.SMTPAuthenticationError(535, b"secret user"), "it refuses the user"),
        (smtplib.SMTPRecipientsRefused({"ada@example.com": (550, b"no")}), "the recipient"),
        (smtplib.SMTPDataError(552, b"ada@example.com"), "it answers 552"),
        (smtplib.SMTPNotSupportedError("STARTTLS"), "no STARTTLS"),
        (TimeoutError(), "in time"),
        (smtplib.SMTPServerDisconnected("gone"), "SMTPServerDisconnected"),
    ],
)
def test_causes_are_told_without_what_was_sent(error: smtplib.SMTPException, said: str) -> None:
    told = _cause(error)
    assert said in told
    assert "example.com" not in told
    assert "secret" not in told


def test_half_a_setting_for_mail_stops_the_start() -> None:
    whole = {
        "smtp_host": "mail.example.com",
        "mail_from": "b@example.com",
        "public_url": "https://betrace.example.com",
    }
    assert Settings.model_validate(whole).mailer is not None
    assert Settings.model_validate({}).mailer is None
    for missing in ("mail_from", "public_url"):
        half = {name: value for name, value in whole.items() if name != missing}
        with pytest.raises(SettingError, match=missing.upper()):
            _ = Settings.model_validate(half).mailer


@pytest.mark.parametrize("ms", [0, 1, 999, 1_000, 1_500, 90_000, 3_600_000, 86_400_000, 100_000])
def test_durations_are_written_as_they_are_read(ms: int) -> None:
    assert duration_ms(duration_text(ms)) == ms
