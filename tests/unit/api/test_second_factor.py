"""Codes of the second factor: the vectors of the standard, and clocks that are a little off."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from api.auth.client import Client, knows_browser, mark_browser
from api.auth.second_factor import matching_step

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_of_rfc_6238_appendix_b(second: int, code: str) -> None:
    at = datetime.fromtimestamp(second, UTC)
    assert matching_step(RFC_SECRET, code, at=at) == second // 30


def test_one_step_around_now_is_accepted_and_no_more() -> None:
    code = pyotp.TOTP(RFC_SECRET).at(NOON)
    step = int(NOON.timestamp()) // 30
    found = [
        matching_step(RFC_SECRET, code, at=NOON + timedelta(seconds=30 * off))
        for off in (-2, -1, 0, 1, 2)
    ]
    assert found == [None, step, step, step, None]


def test_the_mark_of_a_browser_holds_for_one_account_and_one_key() -> None:
    mark = mark_browser("ada@example.com", pepper=b"p")
    assert knows_browser(mark, "ada@example.com", pepper=b"p")
    assert not knows_browser(mark, "bob@example.com", pepper=b"p")
    assert not knows_browser(mark, "ada@example.com", pepper=b"q")
    assert not knows_browser("", "ada@example.com", pepper=b"p")


def test_headers_are_kept_short_and_printable() -> None:
    client = Client("192.0.2.1\0", "x\x00\n" + "y" * 1_000)
    assert (client.address, len(client.agent), client.agent[:2]) == ("192.0.2.1", 300, "xy")
